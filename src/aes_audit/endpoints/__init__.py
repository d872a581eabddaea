"""Calls to hosted models, whatever they are for: keys, retries, rates, costs. Knows nothing of images or models."""
