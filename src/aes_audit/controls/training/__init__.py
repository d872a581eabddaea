"""Training of the control models: one module per stage, run by `python -m aes_audit.controls.train`."""

__all__: list[str] = []
