"""The figures of a running and of a resting daemon, and their text."""
