"""What strangers do to a daemon, as bounded attacks: `kinds` are the attacks, `house` the daemon that they meet.

The short form is in `make test` and counts; `make prove` runs it with a clock, see `tests.prove.hostile`.
"""
