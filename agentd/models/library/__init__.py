"""Models as files: which there are, where they come from, and the shelf that they lie on."""
