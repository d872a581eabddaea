"""Report: what a person or another program reads after a run."""
