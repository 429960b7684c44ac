"""The figures of a running daemon, or of a state directory that no daemon uses, and their text."""
