"""The audits: one file per question; `pytest --pyargs aes_audit.audits` runs them from an installed wheel."""
