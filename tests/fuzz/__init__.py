"""Fuzzing of everything that reads what strangers wrote: `python -m tests.fuzz`, see `__main__`.

`targets` says what is fed and what must hold, `shapes` draws the inputs, `drive` runs one target for some time.
"""
