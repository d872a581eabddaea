"""The control world and the models trained on it: the audit's own assay, whose verdicts are known."""

__all__: list[str] = []
