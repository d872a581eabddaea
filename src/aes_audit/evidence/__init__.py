"""Evidence: the one table between measuring and judging, and the store of images and scores behind it."""
