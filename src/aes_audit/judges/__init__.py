"""Judges: J(image, dimension), and which of two images follows a prompt better."""
