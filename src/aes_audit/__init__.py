"""aes_audit: tests that catch aesthetic over-alignment before a model is released."""
