"""The machine below: files, locks, paths, children with limits, other users, the network."""
