"""Prompts: the dimensions of the protocol and the pairs of original and wide prompts."""
