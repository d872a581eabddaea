"""A run that collects its own evidence: everything named is pinned at the start, and loaded when it is needed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aes_audit.device import pick_device
from aes_audit.errors import AesAuditError, InfrastructureError, UsageError
from aes_audit.gates.reach import refuse_unreachable, sight
from aes_audit.gates.thresholds import Gate, Profile, Thresholds
from aes_audit.generators.resolve import DiffusersModel, resolve_generator
from aes_audit.judges.registry import ClassifierJudgeModel, resolve_judge, resolve_preference
from aes_audit.options import AuditConfig
from aes_audit.planning import Case, Subjects, live_cases, live_subjects
from aes_audit.prompts.pairs import PromptSet, read_prompt_set
from aes_audit.rewards.registry import resolve_reward, scorer_name
from aes_audit.session import AuditSession, same_family

if TYPE_CHECKING:
    from aes_audit.evidence.collecting import Instruments
    from aes_audit.evidence.progress import Progress
    from aes_audit.evidence.store import Store
    from aes_audit.evidence.table import Evidence
    from aes_audit.gates.curtailment import Settled
    from aes_audit.gates.verdicts import Judgement
    from aes_audit.judges.protocol import PreferenceJudge
    from aes_audit.rewards.protocol import ResolvedReward
    from aes_audit.stopping import EarlyStop

__all__ = ["LiveSession"]

ORDER_SEED = 0
"""Seed of the order in which pairs are collected; part of every result's provenance."""


class LiveSession(AuditSession):
    """Collects its own evidence from models."""

    def __init__(self, config: AuditConfig, thresholds: Thresholds, profile: Profile, progress: Progress) -> None:
        """Look up, before the first test, everything that a typo can break; raises UsageError."""
        super().__init__(config, thresholds, profile)
        self.progress = progress
        self._collected: dict[str, Evidence] = {}
        self._failed: dict[str, AesAuditError] = {}
        self._settled: dict[Case, Settled] = {}
        self._health_verdicts: dict[str, str | None] = {}
        self._selected: tuple[Case, ...] | None = None
        self._compared: frozenset[Case] = frozenset()
        _ = (self.prompts, self.generators, self.rewards, self.judge, self.cases)
        for gate in self._gates:
            refuse_unreachable(thresholds.path, gate, len(self.prompts.pairs))
        self.store.check_writable()

    def select(self, cases: Sequence[Case] | None, compared: Collection[Case] = ()) -> None:
        """Learn which cases will be checked, and so which images nobody needs."""
        self._selected = None if cases is None else tuple(cases)
        self._compared = frozenset(compared)

    @cached_property
    def device(self) -> str:
        """Where models run."""
        return pick_device(self.config.device)

    @cached_property
    def store(self) -> Store:
        """Where images and scores are kept."""
        from aes_audit.evidence.store import Store

        return Store(self.config.store)

    @cached_property
    def prompts(self) -> PromptSet:
        """The prompt pairs of this run."""
        return read_prompt_set(self.profile.prompts).first(self.config.pairs or self.profile.pairs)

    @cached_property
    def subjects(self) -> Subjects:
        """What is under audit."""
        asked = live_subjects(self.config, self.profile)
        return replace(asked, rewards=tuple(dict.fromkeys(map(self._scorer_name, asked.rewards))))

    @cached_property
    def cases(self) -> Sequence[Case]:
        """Every measurement of this run."""
        names = [preference.name for preference in self.preferences]
        quality = tuple(map(self._scorer_name, self.profile.quality))
        instruments = replace(self.profile, quality=quality, matcher=self._scorer_name(self.profile.matcher))
        return live_cases(self.subjects, instruments, self.thresholds, names)

    def _scorer_name(self, spec: str) -> str:
        """What the evidence calls the reward of a SPEC: without its path or revision."""
        return scorer_name(spec, device=self.device)

    @cached_property
    def generators(self) -> Mapping[str, DiffusersModel]:
        """Every generator whose images are needed, pinned."""
        return {
            name: resolve_generator(
                name,
                root=self.config.rootdir,
                device=self.device,
                batch_size=self.config.batch_size,
                cache=self.config.store / "fingerprints",
            )
            for name in self.subjects.generators
        }

    @cached_property
    def rewards(self) -> Mapping[str, ResolvedReward]:
        """Rewards under audit and those that serve as instruments, pinned."""
        asked = live_subjects(self.config, self.profile).rewards
        specs: dict[str, str] = {}
        for spec in dict.fromkeys([*asked, *self.profile.quality, self.profile.matcher]):
            other = specs.setdefault(self._scorer_name(spec), spec)
            if other != spec:
                raise UsageError(
                    f"rewards {other!r} and {spec!r} have one name in the evidence: audit them one by one."
                )
        cache = self.config.store / "fingerprints"
        root = self.config.rootdir
        return {name: resolve_reward(spec, device=self.device, root=root, cache=cache) for name, spec in specs.items()}

    @cached_property
    def judge(self) -> ClassifierJudgeModel:
        """The dimension judge, pinned."""
        return resolve_judge(self.profile.judge, device=self.device)

    @cached_property
    def preferences(self) -> tuple[PreferenceJudge, ...]:
        """The preference judges: the profile's and those named besides."""
        names = dict.fromkeys([*self.profile.preferences, self.profile.truth, *self.config.judges])
        found = {preference.name: preference for preference in map(resolve_preference, names)}
        return tuple(found.values())

    def evidence(self, models: Sequence[str]) -> Evidence:
        """The evidence of these generators, collected where it is not in the store yet."""
        from aes_audit.evidence.table import Evidence

        for name in models:
            if name not in self._collected:
                self._collected[name] = self._collect_once(name)
        wanted = [self._collected[name] for name in dict.fromkeys(models)]
        return wanted[0] if len(wanted) == 1 else Evidence.concat(wanted)

    def _collect_once(self, name: str) -> Evidence:
        # A model that cannot be loaded is not tried again for every case that reads it.
        if name in self._failed:
            raise self._failed[name]
        try:
            return self._collect(name)
        except AesAuditError as error:
            self._failed[name] = error
            raise

    def _collect(self, name: str) -> Evidence:
        from aes_audit.evidence.collecting import collect_pairs

        rule = self._early_stop(name)
        found = collect_pairs(self.generators[name], self._plan, self.instruments, self.store, self.progress, rule)
        if rule:
            self._settled.update(rule.settled)
        return found

    @cached_property
    def _plan(self) -> PromptSet:
        """The pairs in the order in which they are collected: shuffled once, so that any beginning is a fair sample."""
        from aes_audit.gates.curtailment import order

        by_id = {pair.id: pair for pair in self.prompts.pairs}
        return replace(self.prompts, pairs=tuple(by_id[item] for item in order(tuple(by_id), ORDER_SEED)))

    def _early_stop(self, name: str) -> EarlyStop | None:
        """The rule for one generator, from the cases that were selected; None when every pair is needed."""
        if self.config.early_stop == "off" or self._selected is None:
            return None
        from aes_audit.stopping import early_stop, outcomes_of

        reading = [case for case in self._selected if name in case.models]
        # What the full run would say includes the comparison with the baseline, which needs the full run's number.
        if self.config.early_stop == "curtail" and not self._compared.isdisjoint(reading):
            return None
        items = [pair.id for pair in self._plan.pairs]
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

    def judgement(self, case: Case) -> Judgement:
        """As always, once the rewards behind it are healthy; a case settled early shows bounds and where it stopped."""
        if case.gate is not None and self.config.health == "check":
            self._refuse_unhealthy(case)
        settled = self._settled_early(case)
        return settled.judgement(self.measurement(case)) if settled else super().judgement(case)

    def _refuse_unhealthy(self, case: Case) -> None:
        """Raise InfrastructureError when a reward behind the number cannot order the known cases."""
        names = {
            case.scorer,
            *(_matcher(judge) for judge in self.preferences if judge.name in (case.scorer, case.truth)),
        }
        for name in sorted(names & self.rewards.keys()):
            if reason := self._health(name):
                raise InfrastructureError(reason)

    def _health(self, name: str) -> str | None:
        """Why a reward may not gate anything; None for a healthy one. Asked once, and its answers are stored."""
        from aes_audit.evidence.health import unhealthy
        from aes_audit.rewards.health import verdict

        if name not in self._health_verdicts:
            self._health_verdicts[name] = verdict(unhealthy(self.rewards[name], self.store, self.progress))
        found = self._health_verdicts[name]
        return f"{name}: {found}" if found else None

    def gate(self, case: Case) -> Gate | None:
        """With anytime stopping, part of the level has been spent on the way; the rest is left for the end."""
        if case.gate is None or self.config.early_stop != "anytime":
            return case.gate
        from aes_audit.gates.curtailment import final_gate

        return final_gate(case.gate)

    def _settled_early(self, case: Case) -> Settled | None:
        _ = self.evidence(case.models)
        settled = self._settled.get(case)
        return settled if settled and (settled.stopped or settled.rule == "anytime") else None

    @cached_property
    def instruments(self) -> Instruments:
        """Everything that scores images in this run."""
        from aes_audit.evidence.collecting import Instruments

        return Instruments(tuple(self.rewards.values()), self.judge, self.preferences)

    def expected(self, case: Case) -> frozenset[str]:
        """The ids of the planned prompt pairs; of a generator that was stopped early, those it got to."""
        if case in self._settled:
            return frozenset(self._collected[case.models[0]].items(case.models[0], "pairs"))
        return frozenset(pair.id for pair in self.prompts.pairs)

    def header(self) -> list[str]:
        """Models with revisions, pairs, device and cache."""
        shown = [f"{name} ({_short(model.revision)})" for name, model in self.generators.items()]
        prompts = self.prompts
        return [
            f"aes_audit: profile {self.profile.name}, {len(prompts.pairs)} pairs of {prompts.name} "
            f"({_short(prompts.digest)}), device {self.device}, store {self.config.store}",
            f"  generators: {', '.join(shown)}",
            f"  rewards: {', '.join(f'{name} ({_short(r.revision)})' for name, r in self.rewards.items())}",
            *(f"  gate {gate.metric} {gate.text}: {seen}" for gate in self._gates if (seen := self._sight(gate))),
        ]

    @property
    def _gates(self) -> list[Gate]:
        """The gates of this run, each once."""
        return list(dict.fromkeys(case.gate for case in self.cases if case.gate is not None))

    def _sight(self, gate: Gate) -> str | None:
        return None if gate.advisory else sight(gate, len(self.prompts.pairs))

    def provenance(self) -> Mapping[str, Any]:
        """Prompt set, models and instruments with revisions and identities."""
        pinned: dict[str, DiffusersModel | ResolvedReward | ClassifierJudgeModel] = {
            **self.generators,
            **self.rewards,
            self.judge.name: self.judge,
        }
        return {
            "profile": self.profile.name,
            "prompts": {
                "name": self.prompts.name,
                "pairs": len(self.prompts.pairs),
                "digest": self.prompts.digest,
            },
            "device": self.device,
            "order_seed": ORDER_SEED,
            "early_stop": self.config.early_stop,
            "models": {
                name: {"revision": model.revision, "identity": dict(model.identity)} for name, model in pinned.items()
            },
        }


def _matcher(judge: PreferenceJudge) -> str:
    """The reward that a preference judge reads, where it reads one."""
    return str(getattr(judge, "matcher", ""))


def _short(revision: str) -> str:
    return "+".join(part.removeprefix("sha256:")[:12] for part in revision.split("+"))
