"""From evidence to measurements: pure functions, one file per family of metrics, one registry of their names.

`measure` in `registry.py` is the way in. No model, no threshold and no file is known here.
"""
