"""--evidence: judge a recorded table, run no model."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from plugin.conftest import Run


def test_every_model_of_the_table_is_judged_when_none_is_named(judged: Run) -> None:
    result = judged()
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*bad*success_rate*preference/judge*0.200*FAIL*"])
    result.stdout.fnmatch_lines(["*good*success_rate*preference/judge*0.800*pass*"])


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


def _measurements(path: Path) -> object:
    import json

    return json.loads(path.read_text())["measurements"]


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
