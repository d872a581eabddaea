"""Recorded evidence and audit files for tests that drive a real pytest run without any model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

COLUMNS = ["model", "set", "item", "image", "prompt", "scorer", "value", "error"]


def rows_of(model: str, *, success: float, shift: float, items: int = 100, seed: int = 0) -> list[Mapping[str, Any]]:
    """The pairs of a model that follows with the rate `success` and whose quality moves by `shift`."""
    draw = np.random.default_rng(seed)
    rows: list[Mapping[str, Any]] = []
    for number in range(items):
        common: dict[str, Any] = {"model": model, "set": "pairs", "item": f"{number:03}", "error": None}
        level = draw.normal(0, 1)
        for image in ("original", "wide"):
            for prompt in ("original", "wide"):
                value = level + draw.normal(0, 0.3) + (shift if image == "wide" else 0)
                rows.append({**common, "image": image, "prompt": prompt, "scorer": "quality", "value": value})
        # Evenly spread, so that the rate is exact and the same for every seed.
        followed = float(int((number + 1) * success) > int(number * success))
        judged = {"image": "pair", "prompt": "wide", "scorer": "preference/judge", "value": followed}
        rows.append({**common, **judged})
    return rows


def write_evidence(path: Path, *models: Sequence[Mapping[str, Any]]) -> Path:
    """A CSV table of several models' rows."""
    pd.DataFrame([row for rows in models for row in rows], columns=COLUMNS).to_csv(path, index=False)
    return path


def write_audits(pytester: pytest.Pytester, *metrics: str) -> None:
    """One audit file per metric, as a user's repository would hold."""
    for metric in metrics:
        pytester.makepyfile(
            **{
                f"test_{metric}": f"""
                import pytest

                @pytest.mark.audit("{metric}")
                def test_{metric}_holds(audit):
                    audit.check()
                """
            }
        )


THRESHOLDS = """
schema = 1
[profiles.control]
prompts = "control_pairs"
pairs = 24
models = ["control/faithful"]
rewards = ["control/clip"]
pool = ["control/faithful"]
quality = ["control/preference"]
matcher = "control/clip"
judge = "control/judge"
preferences = ["preference/control-judge"]
truth = "preference/control-judge"
[[gates]]
profile = "control"
metric = "success_rate"
at_least = 0.5
tolerance = 0.05
look_at = "the pairs that look alike."
"""


def write_thresholds(folder: Path, text: str = THRESHOLDS) -> Path:
    """A thresholds file where the plugin looks for it."""
    path = folder / "audits" / "thresholds.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path
