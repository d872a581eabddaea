"""Evaluation results for the model page on the hub: metadata of a model card, and a benchmark's results file.

Formats: `model-index` in the head of README.md, which any model repository may carry, and `.eval_results/*.yaml`, which
belongs to a data set that the hub knows as a benchmark. Both are written by huggingface_hub's own classes
(https://huggingface.co/docs/hub/model-cards and https://huggingface.co/docs/hub/eval-results).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aes_audit.errors import UsageError
from aes_audit.report.entries import whole_entries
from aes_audit.report.escaping import markdown, printable
from aes_audit.report.outcome import WRONG, about, explanation, ordered, outcome, overall
from aes_audit.report.results import Entry
from aes_audit.report.run_folder import RunFolder
from aes_audit.report.step_summary import markdown_table
from aes_audit.report.table import counts

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, EvalResultEntry

__all__ = ["HubCard", "hub_cards", "write_hub_cards"]

NOT_MEASURED = "not measured"
"""The value of a measurement without a number: left out, it would look as if nobody had asked."""

_RESULTS = ".eval_results/aes_audit.yaml"

_DETAILS = (
    "interval", "confidence", "n", "missing", "p_value", "threshold", "scorer", "base_model", "group", "reason",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class HubCard:
    """What one audited model's repository gets."""

    subject: str
    """The model, as the run named it."""
    folder: str
    """Name of its folder; letters, digits and `._+-` only."""
    card: str
    """README.md: metadata with every result, and the verdicts in words."""
    results: str | None
    """.eval_results/aes_audit.yaml; None where no benchmark was named."""


def hub_cards(run: RunFolder, dataset: str | None = None, source: str | None = None) -> list[HubCard]:
    """One card per audited model of a run, every verdict included.

    `dataset` is the benchmark on the hub (owner/name) that the prompts are published as, `source` the address of the
    report. Raises UsageError for a run without measurements.
    """
    by_subject: dict[str, list[Entry]] = {}
    for entry in ordered(whole_entries(run)):
        by_subject.setdefault(str(entry["subject"]), []).append(entry)
    if not by_subject:
        raise UsageError(f"{str(run.path)!r} has no measurements, so there is nothing to write on a model card.")
    origin = _Origin(run.run, dataset, source)
    cards: list[HubCard] = []
    for subject, entries in by_subject.items():
        results = origin.benchmark(entries) if dataset else None
        folder = _folder(subject, {card.folder for card in cards})
        cards.append(HubCard(subject, folder, origin.card(subject, entries), results))
    return cards


def write_hub_cards(cards: Sequence[HubCard], output: Path) -> list[Path]:
    """Write each card into a folder of its own; returns the files.

    Raises UsageError where a card is already, which may be somebody's work, and where nothing can be written.
    """
    if there := next((path for card in cards if (path := output / card.folder / "README.md").exists()), None):
        raise UsageError(f"{there} is there already: name another --output.")
    texts = {output / card.folder / "README.md": card.card for card in cards}
    texts |= {output / card.folder / _RESULTS: card.results for card in cards if card.results is not None}
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"model card {path} cannot be written: {error.strerror}. Name another --output."
            ) from error
    return list(texts)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-.") or "model"


def _folder(subject: str, taken: Collection[str]) -> str:
    """A name that no other subject of the run has."""
    names = (f"{_slug(subject)}{ending}" for ending in ("", *(f"-{number}" for number in range(2, len(taken) + 3))))
    return next(name for name in names if name not in taken)


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where results come from, as all entries of a run say it."""

    run: Mapping[str, Any]
    """Provenance of the run."""
    dataset: str | None
    """The benchmark on the hub."""
    source: str | None
    """Address of the report."""

    def card(self, subject: str, entries: Sequence[Entry]) -> str:
        """README.md of one subject."""
        from huggingface_hub import ModelCardData

        results = [self._result(entry) for entry in entries]
        data = ModelCardData(model_name=printable(subject), tags=["aes-audit"], eval_results=results)
        reasons = "".join(f"- {markdown(explanation(entry))}\n" for entry in entries if outcome(entry) in WRONG)
        prompts = self.run.get("prompts")
        measured_on = f" on {prompts['pairs']} prompt pairs of {markdown(str(prompts['name']))}" if prompts else ""
        version, date = (markdown(str(self.run.get(key, ""))) for key in ("aes_audit", "started"))
        return (
            f"---\n{data.to_yaml()}\n---\n\n## Aesthetic over-alignment: {overall(entries)}\n\n"
            f"Measured by aes_audit {version}{measured_on}, {date}. {counts(entries)}.\n\n"
            f"{markdown_table(entries)}\n{reasons}"
        )

    def benchmark(self, entries: Sequence[Entry]) -> str:
        """.eval_results/aes_audit.yaml of one subject."""
        from huggingface_hub import eval_result_entries_to_yaml
        from huggingface_hub.utils import yaml_dump  # type: ignore[attr-defined]

        # A leaderboard sorts by numbers: what was not measured is on the card alone.
        rows = [self._row(entry) for entry in entries if entry["estimate"] is not None]
        return str(yaml_dump(eval_result_entries_to_yaml(rows)))

    def _result(self, entry: Entry) -> EvalResult:
        from huggingface_hub import EvalResult

        prompts = self.run.get("prompts") if entry["set"] in ("pairs", "edits") else None
        name = printable(str(prompts["name"] if prompts else entry["set"]))
        return EvalResult(
            task_type=_task(entry),
            dataset_type=self.dataset or name,
            dataset_name=name,
            dataset_config=entry["set"],
            dataset_args={"pairs": prompts["pairs"], "digest": prompts["digest"]} if prompts else None,
            metric_type=entry["metric"],
            metric_name=printable(about(entry)),
            metric_value=NOT_MEASURED if entry["estimate"] is None else entry["estimate"],
            metric_args=_details(entry),
            source_name="aes_audit" if self.source else None,
            source_url=self.source,
        )

    def _row(self, entry: Entry) -> EvalResultEntry:
        from huggingface_hub import EvalResultEntry

        assert self.dataset is not None
        return EvalResultEntry(
            dataset_id=self.dataset,
            task_id=_slug(about({**entry, "subject": entry["metric"]}).partition(": ")[2]),
            value=entry["estimate"],
            date=self.run.get("started"),
            source_url=self.source,
            source_name="aes_audit" if self.source else None,
            notes=printable(f"{outcome(entry)}: {explanation(entry)}"),
        )


def _task(entry: Entry) -> str:
    """The hub's name of what the model does; it has none for rewards."""
    if entry.get("subject") == entry["scorer"]:
        return "other"
    return "image-to-image" if entry["set"] == "edits" else "text-to-image"


def _details(entry: Entry) -> dict[str, Any]:
    """Verdict first, then what a number needs to be read; what an entry does not have is left out."""
    return {"verdict": outcome(entry), **{name: entry[name] for name in _DETAILS if entry[name] is not None}}
