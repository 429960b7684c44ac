"""Commands; each file is imported only when its command runs."""
