"""The numbers that the paper printed, shown beside a measurement of the same model and metric."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["Published", "published"]

Published = Mapping[str, Any]
"""`estimate`, `standard_error` (None where it cannot be recomputed), `source` and `note`."""

POOLED = "*"
"""The table's mark for numbers that pool several generators or concern a reward alone."""


def published(
    model: str, base_model: str | None, metric: str, scorer: str | None, group: str | None
) -> Published | None:
    """The paper's number for this measurement, None where it has none.

    Source: arXiv 2512.11883, tables 1, 2, 4 and the emotion tables; `source` says `recomputed` where the number
    comes from the scores that the authors published and not from the paper itself.
    """
    for name in (model, POOLED):
        found = _table().get((name, base_model or "", metric, scorer or "", group or ""))
        if found is not None:
            return found
    return None


@cache
def _table() -> Mapping[tuple[str, ...], Published]:
    text = files("aes_audit.report").joinpath("published.csv").read_text(encoding="utf-8")
    return {_key(row): _numbers(row) for row in csv.DictReader(text.splitlines())}


def _key(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("model", "base_model", "metric", "scorer", "group"))


def _numbers(row: Mapping[str, str]) -> Published:
    error = row["standard_error"]
    return {
        "estimate": float(row["estimate"]),
        "standard_error": float(error) if error else None,
        "source": row["source"],
        "note": row["note"] or None,
    }
