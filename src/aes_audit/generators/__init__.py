"""Generators: from a SPEC string to images."""
