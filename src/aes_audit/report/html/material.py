"""What a page is made from: the results, the evidence behind them, the texts and the pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aes_audit.measures.names import METRIC_NEEDS, REWARD_SUBJECT
from aes_audit.report.outcome import about, outcome
from aes_audit.report.results import Entry

if TYPE_CHECKING:
    from aes_audit.evidence.table import Evidence
    from aes_audit.prompts.pairs import PromptPair

__all__ = ["SIDES", "FindPicture", "Material", "is_regression", "models_of", "severity"]

FindPicture = Callable[[str], bytes | None]
"""The stored image of a digest; None when it is not there."""

SIDES: Mapping[str, tuple[str, str]] = {"pairs": ("original", "wide"), "edits": ("source", "edited")}
"""The two images of an item, I_o and I_a, per set that has a gallery."""

_SEVERITY = ("fail", "error", "inconclusive", "pass", "advisory")


@dataclass(frozen=True)
class Material:
    """Everything a page shows; nothing of it is trusted to be free of markup."""

    results: Mapping[str, Any]
    """The results file: `run` and `measurements`."""
    evidence: Evidence | None
    """The rows behind the numbers; None when nothing was collected."""
    texts: Mapping[str, PromptPair] = field(default_factory=dict)
    """The prompts of each item; empty for recorded evidence, which holds no texts."""
    find: FindPicture | None = None
    """Where pictures are looked up; None for recorded evidence, which has none."""
    next_command: str | None = None
    """What for, and the command to run next; None when nothing is left to do."""

    @property
    def run(self) -> Mapping[str, Any]:
        """Provenance of the run."""
        found: Mapping[str, Any] = self.results["run"]
        return found

    @cached_property
    def entries(self) -> Sequence[Entry]:
        """The measurements, worst outcome first, then by what they are about."""
        return sorted(self.results["measurements"], key=lambda entry: (severity(entry), about(entry)))

    @cached_property
    def base_model(self) -> str | None:
        """The model that the audited ones are compared with."""
        return next((entry["base_model"] for entry in self.entries if entry["base_model"]), None)

    @cached_property
    def audited(self) -> tuple[str, ...]:
        """Generators that a verdict of this run is about or whose images a reward was shown, in order of names."""
        return tuple(sorted({model for entry in self.entries for model in models_of(entry, self.evidence)}))


def is_regression(entry: Entry) -> bool:
    """Whether the gate was content and what failed is the comparison with the baseline."""
    return outcome(entry) != str(entry["verdict"])


def severity(entry: Entry) -> int:
    """0 for the worst: what failed says something about the model, what was not measured does not."""
    return _SEVERITY.index(outcome(entry))


def models_of(entry: Entry, evidence: Evidence | None) -> tuple[str, ...]:
    """The generators that a measurement read; pooled ones are joined by `+`, which names may hold themselves."""
    joined = str(entry["model"])
    if entry["metric"] not in REWARD_SUBJECT or evidence is None or joined in evidence.models:
        return (joined,)
    return _parted(joined, METRIC_NEEDS[entry["metric"]].set, evidence) or (joined,)


def _parted(joined: str, set_: str, evidence: Evidence) -> tuple[str, ...] | None:
    for name in sorted(evidence.models, key=len, reverse=True):
        if joined == name:
            return (name,)
        if joined.startswith(f"{name}+") and (rest := _parted(joined.removeprefix(f"{name}+"), set_, evidence)):
            return (name, *rest)
    return None
