"""A run that collects its own evidence: what it names is pinned at the start and loaded when it is needed."""
