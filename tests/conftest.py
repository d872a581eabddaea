"""What all tests share. mypy looks at tiny_fixtures.py instead: it takes this file for the conftest.py at the root."""

from __future__ import annotations

import os

from object_fixtures import gs, gs_service, s3, s3_service
from object_servers import OTHERS
from tiny_fixtures import other_lora, run_folder, tiny_clip, tiny_judge, tiny_lora, tiny_pipeline

__all__ = [
    "gs",
    "gs_service",
    "other_lora",
    "run_folder",
    "s3",
    "s3_service",
    "tiny_clip",
    "tiny_judge",
    "tiny_lora",
    "tiny_pipeline",
]

# Runs that tests make are no step of the pipeline that runs the tests, and none of its user's buckets is theirs.
for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", *OTHERS):
    os.environ.pop(name, None)
