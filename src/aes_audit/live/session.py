"""A run that collects its own evidence: everything named is pinned at the start, and loaded when it is needed."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aes_audit.collected import CollectedEvidence
from aes_audit.evidence.batches import Part
from aes_audit.gates.reach import refuse_unreachable
from aes_audit.gates.thresholds import Gate, Profile, Thresholds
from aes_audit.generators.families import ProvenanceWarning
from aes_audit.live.account import ORDER_SEED, header, provenance
from aes_audit.live.pinned import PinnedSession
from aes_audit.live.sets import LiveSet, live_sets
from aes_audit.options import AuditConfig
from aes_audit.planning import Case, live_cases
from aes_audit.prompts.pairs import PromptPair, PromptSet
from aes_audit.reward_health import RewardHealth
from aes_audit.session import same_family

if TYPE_CHECKING:
    from aes_audit.evidence.engines.protocol import Engine
    from aes_audit.evidence.table import Evidence
    from aes_audit.gates.curtailment import Settled
    from aes_audit.gates.verdicts import Judgement
    from aes_audit.generators.protocol import ImageRequest
    from aes_audit.stopping import EarlyStop

__all__ = ["LiveSession"]


class LiveSession(PinnedSession):
    """Collects its own evidence from models."""

    def __init__(self, config: AuditConfig, thresholds: Thresholds, profile: Profile, engine: Engine) -> None:
        """Look up, before the first test, everything that a typo can break; raises UsageError."""
        super().__init__(config, thresholds, profile)
        self.engine = engine
        self._collected = CollectedEvidence(self._collect)
        self._settled: dict[Case, Settled] = {}
        self._selected: tuple[Case, ...] | None = None
        self._compared: frozenset[Case] = frozenset()
        self._warned = False
        _ = (self.prompts, self.sets, self.generators, self.rewards, self.judge, self.cases)
        self.refuse_floating()
        for gate in self.gates:
            refuse_unreachable(thresholds.path, gate, self.planned(gate.metric))
        if config.plan:
            # A store that cannot be read is told here, where one sentence ends the run.
            _ = self._begins_to_draw
        else:
            self._refuse_unready()

    def _refuse_unready(self) -> None:
        """Raise what would end the run only when it needs a place to write, a key or a client library.

        A store that is read only may hold all there is to be asked; what it lacks is said when that is known.
        """
        if not self.store.read_only and self._begins_to_draw:
            self.store.check_writable()
        self.spending.refuse_unready(self.generators, self.requests, self.store)
        self.questions.refuse_unready()

    @property
    def _begins_to_draw(self) -> bool:
        """Whether a generator has not drawn its first pair, which no rule for stopping can spare it."""
        from aes_audit.evidence.collecting import image_jobs
        from aes_audit.evidence.generating import key_of

        asked = [job.request for job in image_jobs(self.plan.first(1))]
        models = [self.generators[name] for name in self.subjects.generators]
        return None in self.store.images(key_of(model, request) for model in models for request in asked)

    def select(self, cases: Sequence[Case] | None, compared: Collection[Case] = ()) -> None:
        """Learn which cases will be checked, and so which images nobody needs."""
        self._selected = None if cases is None else tuple(cases)
        self._compared = frozenset(compared)

    @property
    def checked(self) -> Sequence[Case]:
        """The cases that were selected; all where a test reads the whole evidence, and before any is selected."""
        return self.cases if self._selected is None else self._selected

    @property
    def tables(self) -> Sequence[tuple[str, str]]:
        """Set and model of every table that the checked cases read, those first that others are chosen from."""
        found: dict[tuple[str, str], None] = {}
        for case in self.checked:
            found.update(dict.fromkeys(("pairs", model) for model in sorted(case.pairs_of)))
            found.update(dict.fromkeys(case.reads))
        return tuple(found)

    def part(self, set_: str, model: str) -> Part:
        """The part of a table that this run collects."""
        place = self.tables.index((set_, model)) if (set_, model) in self.tables else 0
        return replace(self.config.part, place=place)

    def table(self, set_: str, model: str) -> Evidence:
        """One of them, collected where the store lacks it."""
        return self._collected.of([(set_, model)])

    @cached_property
    def sets(self) -> tuple[LiveSet, ...]:
        """What is measured besides the prompt pairs of the generators."""
        return live_sets(self)

    @property
    def further_generators(self) -> Sequence[str]:
        """Those that the sets besides the pairs need."""
        return [name for found in self.sets for name in found.generators]

    def requests(self, name: str) -> list[ImageRequest]:
        """Everything that a generator will be asked to draw from words: pairs, and what other sets ask for."""
        from aes_audit.evidence.collecting import image_jobs

        pairs = [job.request for job in image_jobs(self.prompts)]
        return [*pairs, *(asked for found in self.sets for asked in found.requests(name))]

    @cached_property
    def cases(self) -> Sequence[Case]:
        """Every measurement of this run."""
        names = [preference.name for preference in self.preferences.all]
        pairs = live_cases(self.subjects, self.named_profile, self.thresholds, names)
        return (*pairs, *(case for found in self.sets for case in found.cases()))

    def evidence(self, models: Sequence[str]) -> Evidence:
        """The prompt pairs of these generators, collected where they are not in the store yet."""
        return self._collected.of(("pairs", name) for name in models)

    def evidence_of(self, case: Case) -> Evidence:
        """Only the sets and generators that the case reads."""
        return self._collected.of(case.reads)

    @property
    def collected(self) -> Mapping[tuple[str, str], Evidence]:
        """What this process has collected so far, by set and generator."""
        return self._collected.tables

    @property
    def texts(self) -> Mapping[str, PromptPair]:
        """The prompts of each pair."""
        return {pair.id: pair for pair in self.prompts.pairs}

    def set_of(self, set_: str, model: str) -> LiveSet | None:
        """Who collects an evidence set of a model; None for the prompt pairs of a generator."""
        return next((found for found in self.sets if found.set == set_ and model in found.models), None)

    def _collect(self, set_: str, model: str) -> Evidence:
        found = self.set_of(set_, model)
        return found.collect(model) if found else self._collect_pairs(model)

    def _collect_pairs(self, name: str) -> Evidence:
        from aes_audit.evidence.collecting import collect_pairs

        rule = self._early_stop(name)
        found = collect_pairs(
            self.generators[name],
            self.plan,
            self.instruments,
            self.store,
            self.engine,
            rule,
            self.part("pairs", name),
        )
        if rule:
            self._settled.update(rule.settled)
        return found

    @cached_property
    def plan(self) -> PromptSet:
        """The pairs in the order in which they are collected: shuffled once, so that any beginning is a fair sample."""
        from aes_audit.gates.curtailment import order

        by_id = {pair.id: pair for pair in self.prompts.pairs}
        return replace(self.prompts, pairs=tuple(by_id[item] for item in order(tuple(by_id), ORDER_SEED)))

    def _early_stop(self, name: str) -> EarlyStop | None:
        """The rule for one generator, from the cases that were selected; None when every pair is needed."""
        reading = self.may_stop(name)
        if self._selected is None or not reading:
            return None
        from aes_audit.stopping import early_stop, outcomes_of

        items = [pair.id for pair in self.plan.pairs]
        scorers = [case.scorer for case in reading if case.scorer.startswith("preference/")]
        bases = {case.base_model for case in reading if case.base_model}
        return early_stop(
            name,
            self._selected,
            planned=len(items),
            base={base: outcomes_of(self.evidence([base]), base, scorers, items) for base in bases},
            families={case: sum(same_family(case, other) for other in self.cases) for case in reading if case.gate},
            anytime=self.config.early_stop == "anytime",
        )

    def may_stop(self, name: str) -> Sequence[Case]:
        """The cases that decide when a generator's pairs are enough; none where every pair is needed."""
        if self.config.early_stop == "off" or self._selected is None:
            return ()
        from aes_audit.stopping import early_stop

        reading = [case for case in self._selected if case.set == "pairs" and name in case.models]
        # What the full run would say includes the comparison with the baseline, which needs the full run's number.
        if self.config.early_stop == "curtail" and not self._compared.isdisjoint(reading):
            return ()
        rule = early_stop(name, self._selected, planned=len(self.plan.pairs), base={}, families={}, anytime=False)
        return rule.cases if rule else ()

    def judgement(self, case: Case) -> Judgement:
        """As always, once the rewards behind it are healthy; a case settled early shows bounds and where it stopped."""
        self._warn_once()
        if case.gate is not None and self.config.health == "check":
            self.health.refuse_unhealthy(case)
        settled = self._settled_early(case)
        return settled.judgement(self.measurement(case)) if settled else super().judgement(case)

    def _warn_once(self) -> None:
        # Within a test, because pytest shows the warnings of tests in its summary.
        for said in () if self._warned else self.warnings:
            warnings.warn(said, ProvenanceWarning, stacklevel=3)
        self._warned = True

    @cached_property
    def health(self) -> RewardHealth:
        """Which rewards may gate anything."""
        return RewardHealth(self.rewards, self.preferences.deciding, self.store, self.engine)

    def gate(self, case: Case) -> Gate | None:
        """With anytime stopping, part of the level has been spent on the way; the rest is left for the end.

        Sets besides the prompt pairs are always collected whole, so that nothing is spent on them.
        """
        whole = self.set_of(case.set, case.models[0]) is not None
        if case.gate is None or whole or self.config.early_stop != "anytime":
            return case.gate
        from aes_audit.gates.curtailment import final_gate

        return final_gate(case.gate)

    def _settled_early(self, case: Case) -> Settled | None:
        _ = self.evidence_of(case)
        settled = self._settled.get(case)
        return settled if settled and (settled.stopped or settled.rule == "anytime") else None

    def expected(self, case: Case) -> frozenset[str]:
        """The ids of the planned pairs or of a set's items, or of the pairs that a stopped generator got to."""
        if found := self.set_of(case.set, case.models[0]):
            return found.expected(case)
        if case in self._settled:
            return frozenset(self.evidence_of(case).items(case.models[0], "pairs"))
        return frozenset(pair.id for pair in self.prompts.pairs)

    def close(self) -> None:
        """Give back what the engine holds."""
        self.engine.close()

    def header(self) -> list[str]:
        """Models with revisions, pairs and other sets, device and cache, and what the gates can see."""
        return header(self)

    def provenance(self) -> Mapping[str, Any]:
        """Prompt set, models and instruments with revisions and identities, and the other sets."""
        return provenance(self)

    def planned(self, metric: str) -> int:
        """The items of this metric, at most."""
        found = next((each for each in self.sets if metric in each.metrics), None)
        return found.planned(metric) if found else len(self.prompts.pairs)

    @property
    def gates(self) -> list[Gate]:
        """The gates of this run, each once."""
        return list(dict.fromkeys(case.gate for case in self.cases if case.gate is not None))
