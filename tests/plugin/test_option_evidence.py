"""--evidence: judge a recorded table, run no model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from plugin.conftest import Run
from plugin.recorded import COLUMNS, write_audits, write_thresholds


def test_every_model_of_the_table_is_judged_when_none_is_named(judged: Run) -> None:
    result = judged()
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*bad*success_rate*preference/judge*0.200*FAIL*"])
    result.stdout.fnmatch_lines(["*good*success_rate*preference/judge*0.800*pass*"])


def test_the_header_says_what_each_gate_can_see_with_the_items_of_the_table(judged: Run) -> None:
    judged().stdout.fnmatch_lines(["*gate success_rate >= 0.5: passes from a true rate of 0.6?"])


def test_audits_without_rows_are_skipped_with_the_reason(judged: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_concept="""
        import pytest

        @pytest.mark.audit("concept_kept")
        def test_concept(audit):
            audit.check()
        """
    )
    result = judged("--model=good", "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*SKIPPED*no subject or no scores for concept_kept*"])


def test_parquet_and_a_folder_give_what_csv_gives(judged: Run, pytester: pytest.Pytester) -> None:
    table = pd.read_csv(pytester.path / "table.csv", dtype={"item": str})
    (pytester.path / "folder").mkdir()
    for name, part in table.groupby("model"):
        part.to_parquet(pytester.path / "folder" / f"{name}.parquet")
    judged("--audit-json=csv.json")
    pytester.runpytest("--evidence=folder", "--audit-json=folder.json")
    assert _measurements(pytester.path / "csv.json") == _measurements(pytester.path / "folder.json")


def _measurements(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["measurements"]
    return found


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("duplicate", "001"),
        ("both", "error"),
        ("label", "sideways"),
        ("column", "scorer"),
        ("absent", "absent.csv"),
    ],
)
def test_a_faulty_table_is_a_usage_error_and_nothing_is_judged(
    judged: Run, pytester: pytest.Pytester, fault: str, words: str
) -> None:
    path = pytester.path / "table.csv"
    table = pd.read_csv(path, dtype={"item": str, "error": object})
    if fault == "duplicate":
        table = pd.concat([table, table[table["item"] == "001"].head(1)])
    elif fault == "both":
        table.loc[3, "error"] = "a reason beside a value"
    elif fault == "label":
        table.loc[3, "image"] = "sideways"
    elif fault == "column":
        table = table.drop(columns="scorer")
    table.to_csv(path, index=False)
    options = ["--evidence=absent.csv"] if fault == "absent" else []
    result = judged(*options, "--audit-json=out.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    message = "\n".join([*result.outlines, *result.errlines])
    assert words in message
    assert "Traceback" not in message
    assert not (pytester.path / "out.json").exists()


def _other_sets() -> pd.DataFrame:
    """Forty items of art, emotions, edits and ratings, and the generated originals that art is compared with."""
    draw = np.random.default_rng(7)
    rows: list[tuple[object, ...]] = []
    for number in range(40):
        item = f"{number:02}"
        rows.append(("human", "art", item, "work", "caption", "quality", draw.normal(-1, 1), None))
        rows.append(("drawer", "pairs", item, "original", "original", "quality", draw.normal(0, 1), None))
        for image in ("happy", "sad"):
            happier = 0.5 * (image == "happy")
            rows.append(("people", "emotion", item, image, "sad", "quality", draw.normal(happier, 1), None))
            rows.append(("drawer", "emotion", item, image, image, "blip-itm/face", draw.random(), None))
        for image, level in (("source", 0.0), ("edited", 1.0)):
            rows.append(("editor", "edits", item, image, "original", "quality", draw.normal(level, 0.5), None))
        for who in ("judge", "truth"):
            rows.append(("human", "ratings", item, "work", None, f"{who}/clarity", float(number % 3), None))
    return pd.DataFrame(rows, columns=COLUMNS)


def test_every_set_of_the_table_is_judged_and_shown(pytester: pytest.Pytester) -> None:
    table = _other_sets()
    table.to_csv(pytester.path / "sets.csv", index=False)
    write_thresholds(pytester.path)
    metrics = ("art_z", "emotion_accuracy", "emotion_rendering", "edit_shift", "judge_agreement_accuracy")
    write_audits(pytester, *metrics)
    result = pytester.runpytest("--evidence=sets.csv", "--audit-json=out.json")
    assert result.ret == pytest.ExitCode.OK
    found = {(m["metric"], m["group"]): m for m in _measurements(pytester.path / "out.json")}
    value = table.set_index(["set", "image", "item"])["value"].sort_index()

    art, originals = value["art", "work"], value["pairs", "original"]
    shown = found["art_z", None]
    assert shown["estimate"] == pytest.approx(((art - originals.mean()) / originals.std()).mean())
    assert shown["details"]["reference"]["model"] == "drawer"
    people = table[table["model"] == "people"].set_index(["image", "item"])["value"]
    assert found["emotion_accuracy", "sad"]["estimate"] == (people["sad"] > people["happy"]).mean()
    faces = table[table["scorer"] == "blip-itm/face"].groupby("image")["value"].mean()
    assert found["emotion_rendering", "happy"]["estimate"] == pytest.approx(faces["happy"])
    assert found["edit_shift", None]["estimate"] == pytest.approx(
        (value["edits", "edited"] - value["edits", "source"]).mean()
    )
    for group in (None, "used", "clarity"):
        assert found["judge_agreement_accuracy", group]["estimate"] == 1
    assert "emotion_accuracy (sad)" in result.stdout.str()
