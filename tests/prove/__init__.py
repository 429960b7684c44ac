"""The proof that nothing is lost, as a program: `python -m tests.prove [PART ...]`, see `__main__` for the parts."""
