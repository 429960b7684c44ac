"""Model files: which ones there are, where they come from, and the shelf that holds them."""
