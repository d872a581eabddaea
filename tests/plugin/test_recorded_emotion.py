"""Recorded scores of faces in four emotions: the published accuracies, their mirror image, and what the gates say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from aes_audit.report.published import published
from plugin.recorded import COLUMNS, write_audits

NEGATIVE = ("sad", "angry", "fearful")

PUBLISHED = {
    "blip-itm": (95, 96, 79),
    "hpsv2.1": (88, 70, 64),
    "hpsv3": (44, 19, 32),
    "imagereward": (77, 55, 49),
}
"""Of 100 tuples, how often a reward preferred the sad, the angry, the fearful image under its own caption."""

MIRRORED = {"hpsv3": (99, 98, 97)}
"""The same for the happy image under the happy caption; nobody has published it, and not every table has the rows."""


def rows() -> Iterator[dict[str, Any]]:
    """100 tuples: whatever image a caption names has the score 1 or -1, the other one 0."""
    for scorer, wins in PUBLISHED.items():
        for emotion, count in zip(NEGATIVE, wins, strict=True):
            yield from _tuples(scorer, emotion, "happy", count)
    for scorer, wins in MIRRORED.items():
        # The happy image under the happy caption is one row, whatever it is compared with.
        for item in range(100):
            yield _row(scorer, item, "happy", "happy", 0.0)
        for emotion, count in zip(NEGATIVE, wins, strict=True):
            yield from (_row(scorer, item, emotion, "happy", -1.0 if item < count else 1.0) for item in range(100))


def _tuples(scorer: str, emotion: str, other: str, wins: int) -> Iterator[dict[str, Any]]:
    for item in range(100):
        yield _row(scorer, item, emotion, emotion, 1.0 if item < wins else -1.0)
        yield _row(scorer, item, other, emotion, 0.0)


def _row(scorer: str, item: int, image: str, prompt: str, value: float) -> dict[str, Any]:
    about = {"model": "nano-banana", "set": "emotion", "item": f"{item:03}", "image": image, "prompt": prompt}
    return {**about, "scorer": scorer, "value": value, "error": None}


def test_the_published_accuracies_come_out_and_the_mirrored_ones_where_there_are_rows(
    pytester: pytest.Pytester,
) -> None:
    pd.DataFrame(rows(), columns=COLUMNS).to_csv(pytester.path / "table.csv", index=False)
    write_audits(pytester, "emotion_accuracy", "emotion_accuracy_happy")
    result = pytester.runpytest("--profile=standard", "--evidence=table.csv", "--audit-json=r.json", "-rs")
    result.stdout.fnmatch_lines(["*no tuple has both images under the happy caption*"])
    found = {
        (entry["metric"], entry["scorer"], entry["group"]): entry
        for entry in json.loads((pytester.path / "r.json").read_text())["measurements"]
    }
    for scorer, wins in PUBLISHED.items():
        for emotion, count in zip(NEGATIVE, wins, strict=True):
            entry = found["emotion_accuracy", scorer, emotion]
            told = published("*", None, "emotion_accuracy", scorer, emotion)
            assert told is not None
            assert (entry["estimate"], entry["n"], entry["missing"]) == (told["estimate"], 100, 0)
            assert entry["estimate"] == count / 100
    verdicts = {
        scorer: [found["emotion_accuracy", scorer, each]["verdict"] for each in NEGATIVE] for scorer in PUBLISHED
    }
    assert verdicts == {
        "blip-itm": ["pass", "pass", "pass"],
        "hpsv2.1": ["pass", "pass", "pass"],
        "hpsv3": ["inconclusive", "fail", "fail"],
        "imagereward": ["pass", "inconclusive", "inconclusive"],
    }
    assert found["emotion_accuracy", "hpsv3", "sad"]["p_value"] == pytest.approx(0.27, abs=0.005), "as recomputed"
    mirrored = {scorer: found["emotion_accuracy_happy", scorer, "sad"] for scorer in MIRRORED}
    assert {key[1] for key in found if key[0] == "emotion_accuracy_happy"} == set(MIRRORED)
    assert (mirrored["hpsv3"]["estimate"], mirrored["hpsv3"]["verdict"]) == (0.99, "pass")
    assert found["emotion_accuracy", "hpsv3", "sad"]["details"]["swapped"]["share"] == 0.99
    assert found["emotion_accuracy", "hpsv3", "sad"]["details"]["by_others"]["blip-itm"]["share"] == 0.95
