"""The results file: its fields, its atomic writing, and a path that cannot be written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aes_audit.errors import UsageError
from aes_audit.evidence.schema import Row
from aes_audit.evidence.table import Evidence
from aes_audit.gates.thresholds import Gate
from aes_audit.gates.verdicts import Verdict, judge
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.names import PAIRED, SCORED_BY, TRUTH_NEEDED
from aes_audit.measures.registry import METRICS, measure
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.report.results import entry, prepare_results, run_provenance, write_results

# The example of the evidence contract, field by field.
FIELDS = {
    *("audit", "metric", "model", "base_model", "set", "scorer", "group", "n", "missing", "estimate", "interval"),
    *("confidence", "statistic", "p_value", "effect_r", "rank_biserial", "threshold", "baseline", "verdict"),
}
GATE = Gate("here", "quality_shift", at_most=-0.5)
RUN = {"profile": "here"}


def table(models: tuple[str, ...] = ("base", "aligned"), items: int = 30) -> Evidence:
    """Scores of every kind for two models."""
    rng = np.random.default_rng(0)
    rows: list[Row] = []
    for model in models:
        for number in range(items):
            place = (model, "pairs", f"{number:03}")
            for image in ("original", "wide"):
                for scorer in ("hpsv3", "blip-itm"):
                    for prompt in ("original", "wide"):
                        rows.append(Row(*place, image, prompt, scorer, float(rng.normal())))
                rows += [Row(*place, image, None, f"judge/{name}", float(rng.uniform(0, 2))) for name in DIMENSIONS[:4]]
            for name in ("vlm", "other"):
                rows.append(Row(*place, "pair", "wide", f"preference/{name}", float(rng.choice([0.0, 0.5, 1.0]))))
    return Evidence.from_rows(rows)


def written(path: Path, *entries: Any) -> dict[str, Any]:
    """Write and read back."""
    write_results(path, RUN, entries)
    result: dict[str, Any] = json.loads(path.read_text(), parse_constant=pytest.fail)
    return result


def test_every_metric_of_the_pairs_writes_every_field_of_the_contract(tmp_path: Path) -> None:
    evidence, entries = table(), []
    for metric, kind in SCORED_BY.items():
        if metric == "dimension_shift_all":
            continue
        scorer = {"preference": "preference/vlm", "judge": "judge", "matcher": "blip-itm", "images": "images"}.get(
            kind, "hpsv3"
        )
        measurement = measure(
            metric,
            evidence,
            model="aligned",
            base_model="base" if metric in PAIRED else None,
            scorer=scorer,
            truth={"reward": "preference/vlm", "preference": "preference/other"}[kind]
            if metric in TRUTH_NEEDED
            else None,
        )
        entries.append(entry(judge(measurement, None, METRICS[metric].bad), metric, None))
    result = written(tmp_path / "r.json", *entries)
    assert set(result) == {"schema", "run", "measurements"}
    assert result["schema"] == 1
    assert len(result["measurements"]) == len(SCORED_BY) - 1
    assert all(set(found) >= FIELDS for found in result["measurements"])
    assert {found["metric"] for found in result["measurements"] if found["base_model"]} == PAIRED & SCORED_BY.keys()


def test_an_entry_says_what_was_measured_what_was_asked_and_what_the_answer_is(tmp_path: Path) -> None:
    measurement = measure("quality_shift", table(), model="aligned", scorer="hpsv3")
    blessed = {"estimate": 0.0, "interval": None, "n": 30, "tolerance": 0.1}
    (found,) = written(tmp_path / "r.json", entry(judge(measurement, GATE, "up"), "my_audit", blessed))["measurements"]
    assert (found["audit"], found["metric"], found["model"]) == ("my_audit", "quality_shift", "aligned")
    assert found["estimate"] == measurement.estimate
    assert found["interval"] == list(measurement.interval or ())
    assert found["threshold"]["at_most"] == -0.5
    assert found["baseline"] == blessed
    assert Verdict(found["verdict"]) is judge(measurement, GATE, "up").verdict
    assert found["reason"]


def test_what_was_not_measured_is_null(tmp_path: Path) -> None:
    nothing = Measurement(
        audit="a", metric="m", model="x", set="pairs", scorer="s", n=0, missing=5, estimate=None, reason="down"
    )
    (found,) = written(tmp_path / "r.json", entry(judge(nothing, None, "up"), "a", None))["measurements"]
    assert all(found[key] is None for key in ("estimate", "interval", "p_value", "threshold", "baseline", "group"))


def test_provenance_says_how_where_and_with_what() -> None:
    run = run_provenance({"profile": "here"}, started=0.0)
    assert run["profile"] == "here"
    assert run["started"] == "1970-01-01T00:00:00+00:00"
    assert run["seconds"] > 0
    assert run["libraries"]["torch"]
    assert json.loads(json.dumps(run)) == run


def test_a_result_that_is_no_number_is_never_written_as_json(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    with pytest.raises(ValueError, match="JSON"):
        write_results(path, RUN, [{"estimate": float("nan")}])
    assert not list(tmp_path.iterdir())


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text("an older file, much longer than the new one" * 100)
    assert written(path)["measurements"] == []
    assert [file.name for file in tmp_path.iterdir()] == ["r.json"]


def test_a_write_that_fails_half_way_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.json"
    path.write_text("old")

    def full(self: Path, *_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UsageError, match=r"^results file .* cannot be written: No space left on device\. .*$"):
        write_results(path, RUN, [])
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("r.json", "old")]


def test_folders_on_the_way_are_made_beforehand(tmp_path: Path) -> None:
    path = tmp_path / "some" / "where" / "r.json"
    prepare_results(path)
    assert written(path)["schema"] == 1


@pytest.mark.parametrize("place", ["file/r.json", "file/deeper/r.json", "folder"])
def test_a_path_that_cannot_be_written_is_one_line_with_the_path(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(UsageError) as raised:
        write_results(tmp_path / place, RUN, [])
    assert str(raised.value).startswith(f"results file {tmp_path / place} cannot be written: ")
    assert str(raised.value).endswith("Give another --audit-json.")
    assert "\n" not in str(raised.value)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"], "nothing is left behind"


def test_a_folder_that_cannot_be_made_is_said_before_hours_are_spent(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"^results file .* cannot be written: [^\n]+ Give another --audit-json\.$"):
        prepare_results(tmp_path / "file" / "r.json")
