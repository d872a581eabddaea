"""Rewards: r(image, text) -> number."""
