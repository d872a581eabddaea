"""The seed of a bootstrap follows from what is measured, so a report can be recomputed by anyone."""

from __future__ import annotations

import hashlib
import json

__all__ = ["derive_seed"]

SEED_BYTES = 6  # 48 bits survive every JSON reader; more than 53 would not


def derive_seed(audit: str, metric: str, model: str, scorer: str | None, group: str | None) -> int:
    """Seed in [0, 2**48) for `numpy.random.default_rng`, equal on every machine and Python version.

    Source: STATISTICS section 3, "the recorded seed comes from (audit, metric, model, scorer, group)".
    """
    identity = json.dumps([audit, metric, model, scorer, group], ensure_ascii=True, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(identity.encode("ascii")).digest()[:SEED_BYTES], "big")
