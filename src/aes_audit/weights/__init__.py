"""Weights: where they come from, which content exactly, and nothing that could run code."""
