"""Run folders of two releases, made by the library from recorded rows: no model, no pytest run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from plugin.recorded import rows_of
from report.audited_pairs import ALIGNED, BASE, entry_of, evidence_of, material
from report.audited_pairs import JUDGE as PEOPLE

from aes_audit.evidence.table import Evidence
from aes_audit.gates.thresholds import Gate
from aes_audit.gates.verdicts import judge
from aes_audit.measures.names import REWARD_SUBJECT
from aes_audit.measures.registry import METRICS, measure
from aes_audit.prompts.pairs import PromptPair
from aes_audit.report.diff.difference import Difference, difference
from aes_audit.report.diff.side import read_side
from aes_audit.report.html.folder import write_folder
from aes_audit.report.results import entry, results_of, results_text
from aes_audit.report.run_folder import EVIDENCE, RESULTS

__all__ = ["JUDGE", "RUN", "Asked", "compared", "drawn_runs", "edited", "release", "write_release"]

JUDGE = "preference/judge"
RUN: Mapping[str, Any] = {
    "profile": "test",
    "prompts": {"name": "set", "pairs": 40, "digest": "d" * 64},
    "libraries": {"torch": "2.0"},
    "models": {
        "quality": {"revision": "sha256:aa", "identity": {"kind": "clip"}},
        JUDGE: {"revision": "sha256:bb", "identity": {"kind": "judge"}},
    },
}

Asked = tuple[str, str, Mapping[str, float]]
MEASURED: Sequence[Asked] = (
    ("success_rate", JUDGE, {"at_least": 0.6}),
    ("quality_shift", "quality", {"at_most": -0.5}),
    ("wide_quality", "quality", {}),
)


def release(
    model: str = "v1", *, success: float = 0.9, shift: float = -1.0, items: int = 40, seed: int = 0
) -> Sequence[Mapping[str, Any]]:
    """Rows of a release that follows with this rate and whose quality moves by `shift`."""
    return rows_of(model, success=success, shift=shift, items=items, seed=seed)


def write_release(
    folder: Path,
    rows: Iterable[Mapping[str, Any]],
    *,
    measured: Sequence[Asked] = MEASURED,
    base_model: str | None = None,
    run: Mapping[str, Any] = RUN,
    evidence: bool = True,
) -> Path:
    """The folder of a run that audited the first model of the rows; `measured` are metric, scorer and gate."""
    rows = list(rows)
    table = Evidence.from_rows(rows)
    folder.mkdir(parents=True)
    entries = [_entry(table, str(rows[0]["model"]), base_model, *asked) for asked in measured]
    (folder / RESULTS).write_text(results_text(results_of(run, entries)))
    if evidence:
        table.to_parquet(folder / EVIDENCE)
    return folder


def compared(before: Path, after: Path, *renamed: str) -> Difference:
    """What changed between two folders."""
    return difference(read_side(before), read_side(after), renamed)


def edited(folder: Path, **fields: Any) -> Path:
    """The same run with other fields in every measurement."""
    results = json.loads((folder / RESULTS).read_text())
    results["measurements"] = [{**each, **fields} for each in results["measurements"]]
    (folder / RESULTS).write_text(json.dumps(results))
    return folder


def drawn_runs(folder: Path, text: str) -> Difference:
    """A base model and what it was aligned to, each with a page, prompts that begin with `text`, and pictures."""
    items = [f"{number:02}" for number in range(24)]
    texts = {item: PromptPair(item, f"a cat {item}", f"{text} {item}", ("clarity",)) for item in items}
    for model in (BASE, ALIGNED):
        table = evidence_of(items, models=(model,))
        # What is made for the aligned model is measured under its name, and then called by its own.
        found = entry_of(Evidence(table.frame.assign(model=ALIGNED)), "success_rate", PEOPLE, at_least=0.7)
        results = results_of({"profile": "test"}, [{**found, "model": model, "subject": model}])
        write_folder(folder / model, replace(material(items, texts), results=results, evidence=table))
    return compared(folder / BASE, folder / ALIGNED)


def _entry(
    table: Evidence, model: str, base_model: str | None, metric: str, scorer: str, condition: Mapping[str, float]
) -> Mapping[str, Any]:
    base = base_model if METRICS[metric].paired else None
    models = table.models if metric in REWARD_SUBJECT else model
    found = measure(metric, table, model=models, base_model=base, scorer=scorer)
    gate = Gate("test", metric, **condition) if condition else None  # type: ignore[arg-type]
    judged = judge(found, gate, METRICS[metric].bad)
    subject = scorer if metric in REWARD_SUBJECT else model
    return {**entry(judged, metric, None), "subject": subject, "outcome": "passed"}
