"""What all tests share. mypy looks at tiny_fixtures.py instead: it takes this file for the conftest.py at the root."""

from __future__ import annotations

from tiny_fixtures import other_lora, tiny_clip, tiny_judge, tiny_lora, tiny_pipeline

__all__ = ["other_lora", "tiny_clip", "tiny_judge", "tiny_lora", "tiny_pipeline"]
