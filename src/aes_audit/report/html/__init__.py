"""The page of a run: what failed and by how much, pairs that prove it, every number with its plot, and a gallery."""
