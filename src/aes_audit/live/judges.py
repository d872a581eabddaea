"""The preference judges of a live run: found by their SPECs, paid, and what the run says about them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from aes_audit.endpoints.budget import dollars
from aes_audit.errors import UsageError
from aes_audit.judges.image_preference import ANSWERS, INSTRUCTION, HostedPreference
from aes_audit.judges.preference import DimensionPreference, MatcherPreference
from aes_audit.judges.registry import resolve_preference

if TYPE_CHECKING:
    from aes_audit.evidence.store import Store
    from aes_audit.generators.protocol import ResolvedGenerator
    from aes_audit.prompts.pairs import PromptSet
    from aes_audit.spending import Spending

__all__ = ["PreferencePanel", "Questions"]

Preference: TypeAlias = "MatcherPreference | DimensionPreference | HostedPreference"


@dataclass(frozen=True, slots=True)
class PreferencePanel:
    """Every preference judge of a run, by the SPEC that named it."""

    by_spec: Mapping[str, Preference]
    """In the order in which they were named."""

    @classmethod
    def of(cls, specs: Iterable[str], spending: Spending) -> PreferencePanel:
        """Find and pin the judges. Raises UsageError for an unknown name or price, and for two judges of one name."""
        found: dict[str, Preference] = {}
        names: dict[str, str] = {}
        for spec in dict.fromkeys(specs):
            judge = resolve_preference(spec)
            found[spec] = judge.paid_from(spending.budget) if isinstance(judge, HostedPreference) else judge
            other = names.setdefault(judge.name, spec)
            if found[other] != found[spec]:
                raise UsageError(
                    f"judges {other!r} and {spec!r} are both {judge.name} in the evidence: append [name=...] to one."
                )
        return cls(found)

    @property
    def all(self) -> tuple[Preference, ...]:
        """Every judge once."""
        return tuple({judge.name: judge for judge in self.by_spec.values()}.values())

    @property
    def deciding(self) -> tuple[MatcherPreference | DimensionPreference, ...]:
        """Those that decide from scores."""
        return tuple(judge for judge in self.all if not isinstance(judge, HostedPreference))

    @property
    def onlookers(self) -> tuple[HostedPreference, ...]:
        """Those that look at the images."""
        return tuple(judge for judge in self.all if isinstance(judge, HostedPreference))

    def name(self, spec: str) -> str:
        """What the evidence calls the judge of a SPEC."""
        return self.by_spec[spec].name

    def provenance(self) -> Mapping[str, Any]:
        """Who looked at images, how, and what was asked; empty where nobody did. JSON values only."""
        if not self.onlookers:
            return {}
        return {
            "preference_judges": {
                judge.name: {"revision": judge.revision, "orders": judge.orders, "identity": dict(judge.identity)}
                for judge in self.onlookers
            },
            "preference_instruction": {
                "text": INSTRUCTION,
                "sha256": hashlib.sha256(INSTRUCTION.encode()).hexdigest(),
            },
        }


@dataclass(frozen=True, slots=True)
class Questions:
    """What the judges that look will be asked in a run, at most: the store's answers cost nothing."""

    panel: PreferencePanel
    """The judges."""
    generators: Mapping[str, ResolvedGenerator]
    """Whose pairs they are shown."""
    prompts: PromptSet
    """The pairs."""
    store: Store
    """Where images and answers are kept."""

    def refuse_unready(self) -> None:
        """Raise UsageError where something is to be asked and the key or the client library is missing."""
        for judge in self.panel.onlookers:
            if self.left(judge):
                judge.refuse_unready()

    def header(self, spending: Spending) -> Iterator[str]:
        """Who looks and what it may cost, a line per judge."""
        for judge in self.panel.onlookers:
            asked = "both orders" if judge.orders == "both" else "one order"
            yield f"  {judge.name}: {judge.model} at {judge.address.host}, {asked}; {self._cost(judge, spending)}"

    def left(self, judge: HostedPreference) -> int:
        """How many questions have no answer in the store; images that are not there yet count as asked about."""
        from aes_audit.evidence.collecting import image_jobs, pair_jobs
        from aes_audit.evidence.images import told_apart
        from aes_audit.evidence.keys import image_key
        from aes_audit.evidence.preferring import left_to_ask, unseen

        jobs, count = image_jobs(self.prompts), 0
        for model in self.generators.values():
            keys = [image_key(model.identity, job.request.prompt, job.request.seed) for job in jobs]
            there = [known or unseen(key) for key, known in zip(keys, self.store.images(keys), strict=True)]
            count += left_to_ask(judge, pair_jobs(self.prompts, told_apart(jobs, there), judge.orders), self.store)
        return count

    def _cost(self, judge: HostedPreference, spending: Spending) -> str:
        left = self.left(judge)
        if not left:
            return "every answer is in the store"
        asked = f"{left} question{'s' if left > 1 else ''} to ask"
        if judge.price is None:
            return f"{asked} at an unknown price; {spending.limit_text}"
        price = judge.price.question
        return (
            f"{asked} at about {dollars(price)} each cost up to {dollars(left * price)}, and up to "
            f"{dollars(left * price * ANSWERS)} if every answer must be repeated; {spending.limit_text}"
        )
