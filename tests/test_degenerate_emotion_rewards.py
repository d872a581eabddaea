"""Rewards of another package that make no sense, shown the drawn faces: with the health check and without it."""

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
from functools import cache

import numpy as np

from aes_audit.rewards.registry import resolve_reward

SEEN = {}


@cache
def eye():
    return resolve_reward("control/clip", device="cpu").load()


def happier(image):
    if image.tobytes() not in SEEN:
        texts = [f"a face, its expression is {emotion}" for emotion in ("happy", "sad")]
        happy, sad = eye().score([image, image], texts)
        SEEN[image.tobytes()] = happy - sad
    return SEEN[image.tobytes()]


class Reward:
    def __init__(self, **_):
        pass

    def score(self, images, texts):
        return [self.one(image.convert("RGB"), text) for image, text in zip(images, texts)]


class Constant(Reward):
    def one(self, image, text):
        return 0.1


class Noise(Reward):
    def one(self, image, text):
        seed = hashlib.sha256(image.tobytes() + text.encode()).digest()
        return float(np.random.default_rng(list(seed)).normal())


class Blind(Reward):
    '''Likes some pictures better than others, for reasons of its own and whatever is asked for.'''

    def one(self, image, text):
        return float(hashlib.sha256(image.tobytes()).digest()[0])


class Happy(Reward):
    def one(self, image, text):
        return happier(image)


class Sad(Reward):
    def one(self, image, text):
        return -happier(image)
"""

NAMES = ("constant", "noise", "blind", "happy", "sad")

Entries = Mapping[tuple[str, str, str], Mapping[str, Any]]


@pytest.fixture(scope="module")
def audits(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Entries]:
    """Show the five rewards the faces; gives what was measured, by reward, metric and emotion."""
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
        command = [sys.executable, "-m", "pytest", "audits/test_emotion.py", f"--audit-json={results}"]
        command += [*(f"--reward={name}" for name in NAMES), f"--audit-health={health}", "-p", "no:cacheprovider"]
        command += [f"--audit-store={folder / 'store'}", f"--audit-baselines={folder}"]
        path = os.pathsep.join(filter(None, (str(folder / "site"), os.environ.get("PYTHONPATH"))))
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1, done.stdout + done.stderr
        found = json.loads(results.read_text())["measurements"]
        return {(entry["subject"], entry["metric"], entry["group"]): entry for entry in found}

    return run


def verdicts(found: Entries, name: str) -> list[str]:
    """Of the three negative emotions, then of happiness beside each of them."""
    return [
        found[name, metric, emotion]["verdict"]
        for metric in ("emotion_accuracy", "emotion_accuracy_happy")
        for emotion in ("sad", "angry", "fearful")
    ]


@pytest.mark.parametrize("name", ["constant", "noise", "blind", "happy", "sad"])
def test_none_of_them_may_gate_anything(audits: Callable[..., Entries], name: str) -> None:
    assert set(verdicts(audits("check"), name)) == {"error"}


def test_without_the_check_what_cannot_read_a_face_fails_throughout(audits: Callable[..., Entries]) -> None:
    found = audits("off")
    assert {*verdicts(found, "constant"), *verdicts(found, "noise"), *verdicts(found, "blind")} == {"fail"}
    assert found["constant", "emotion_accuracy", "sad"]["details"]["ties"] >= 100
    assert found["noise", "emotion_accuracy", "sad"]["estimate"] == pytest.approx(0.5, abs=0.15)


def test_without_the_check_a_taste_for_one_emotion_fails_where_another_is_named(
    audits: Callable[..., Entries],
) -> None:
    found = audits("off")
    assert verdicts(found, "happy") == ["fail"] * 3 + ["pass"] * 3
    sad = verdicts(found, "sad")
    assert (sad[0], sad[3]) == ("pass", "fail"), "emotion_accuracy alone would have liked it"
