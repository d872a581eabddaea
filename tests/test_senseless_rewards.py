"""Rewards of another package that make no sense, audited like any other: with the health check and without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.heavy

ROOT = Path(__file__).resolve().parents[1]

PACKAGE = """
import hashlib

import numpy as np


class Reward:
    def __init__(self, **_):
        pass

    def score(self, images, texts):
        return [self.one(np.asarray(image.convert("RGB")), text) for image, text in zip(images, texts)]


class Constant(Reward):
    def one(self, pixels, text):
        return 0.1


class Blind(Reward):
    '''Likes clean, bright pictures, whatever is asked for.'''

    def one(self, pixels, text):
        return float(pixels.mean() - np.abs(np.diff(pixels.astype(float), axis=0)).mean())


class Noise(Reward):
    def one(self, pixels, text):
        seed = hashlib.sha256(pixels.tobytes() + text.encode()).digest()
        return float(np.random.default_rng(list(seed)).normal())
"""

NAMES = ("constant", "blind", "noise")

Entries = Mapping[tuple[str, str], Mapping[str, Any]]


@pytest.fixture(scope="module")
def audits(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Entries]:
    """Audit the three rewards; gives what was measured, by reward and metric."""
    folder = tmp_path_factory.mktemp("degenerate")
    info = folder / "site" / "degenerate-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "site" / "degenerate.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: degenerate\nVersion: 1.0\n")
    points = [f"{name} = degenerate:{name.capitalize()}" for name in NAMES]
    (info / "entry_points.txt").write_text("\n".join(["[aes_audit.rewards]", *points, ""]))

    @cache
    def run(health: str) -> Entries:
        results = folder / f"{health}.json"
        command = [sys.executable, "-m", "pytest", "audits/test_real_art.py", "audits/test_reward_discrimination.py"]
        command += [*(f"--reward={name}" for name in NAMES), f"--audit-health={health}", f"--audit-json={results}"]
        command += [f"--audit-store={folder / 'store'}", f"--audit-baselines={folder}", "-p", "no:cacheprovider"]
        path = os.pathsep.join(filter(None, (str(folder / "site"), os.environ.get("PYTHONPATH"))))
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1, done.stdout + done.stderr
        found = json.loads(results.read_text())["measurements"]
        return {(entry["subject"], entry["metric"]): entry for entry in found if entry["group"] is None}

    return run


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("metric", ["art_z", "reward_auroc", "reward_balanced_accuracy"])
def test_none_of_them_may_gate_anything(audits: Callable[..., Entries], name: str, metric: str) -> None:
    found = audits("check")[name, metric]
    assert (found["verdict"], found["estimate"]) == ("error", None)
    assert "scorer unhealthy: " in found["reason"]


def test_without_the_check_a_constant_reward_is_inconclusive(audits: Callable[..., Entries]) -> None:
    found = audits("off")
    assert found["constant", "art_z"]["verdict"] == "inconclusive"
    assert "no spread" in found["constant", "art_z"]["reason"]
    assert found["constant", "reward_auroc"]["verdict"] == "inconclusive"
    assert found["constant", "reward_auroc"]["reason"] == "no variation"


def test_without_the_check_a_reward_that_ignores_its_text_is_judged_by_its_taste(
    audits: Callable[..., Entries],
) -> None:
    found = audits("off")
    assert found["blind", "art_z"]["details"]["captions"]["blind"]["reads_captions"] is False
    assert found["blind", "reward_auroc"]["verdict"] == "fail"


def test_without_the_check_noise_has_no_taste_and_tells_nothing_apart(audits: Callable[..., Entries]) -> None:
    found = audits("off")
    assert abs(found["noise", "art_z"]["estimate"]) < 0.3
    assert found["noise", "art_z"]["details"]["captions"]["noise"]["matched_wins"] == pytest.approx(0.5, abs=0.12)
    assert found["noise", "reward_auroc"]["verdict"] == "fail"
