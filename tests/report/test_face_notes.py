"""The line under the verdict table about faces: what was asked for, and what is shown instead."""

from __future__ import annotations

from typing import Any

from aes_audit.report.notes import face_notes

SHOWN = {
    "happy": {"happy": 30, "sad": 0, "angry": 0, "fearful": 0},
    "sad": {"happy": 9, "sad": 20, "angry": 1, "fearful": 0},
}


def entry(metric: str = "positivity_shift", **details: Any) -> dict[str, Any]:
    """What the results file holds, as far as it matters here."""
    return {"model": "a", "metric": metric, "scorer": "blip-itm/face", "details": details}


def test_each_emotion_is_told_with_what_the_others_show() -> None:
    begun = "faces of a, asked and shown by blip-itm/face: happy 30 of 30, sad 20 of 30 (9 happy, 1 angry)"
    assert list(face_notes([entry(confusion=SHOWN, ties=0)])) == [begun]
    assert list(face_notes([entry(confusion=SHOWN, ties=2)])) == [f"{begun}; 2 unclear"]


def test_where_no_face_was_read_nothing_is_said() -> None:
    assert list(face_notes([entry(), entry("emotion_rendering", confusion=SHOWN, ties=0)])) == []
