"""A run that collects its own evidence: everything named is pinned at the start, and loaded when it is needed."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aes_audit.collected import CollectedEvidence
from aes_audit.device import pick_device
from aes_audit.errors import UsageError
from aes_audit.gates.reach import refuse_unreachable
from aes_audit.gates.thresholds import Gate, Profile, Thresholds
from aes_audit.generators.editing import ResolvedEditor
from aes_audit.generators.families import ProvenanceWarning, provenance_warnings
from aes_audit.generators.registry import resolve_model
from aes_audit.generators.resolve import DiffusersModel
from aes_audit.judges.endpoint_model import EndpointJudgeModel
from aes_audit.judges.registry import DimensionJudgeModel, resolve_judge
from aes_audit.live.account import ORDER_SEED, header, provenance
from aes_audit.live.art import LiveArt, live_art
from aes_audit.live.judges import PreferencePanel, Questions
from aes_audit.live.photographs import LivePhotographs, live_photographs
from aes_audit.measures.names import METRIC_NEEDS
from aes_audit.options import AuditConfig
from aes_audit.pinning import hosted_warning, refuse_floating
from aes_audit.planning import Case, Subjects, live_cases, live_subjects
from aes_audit.prompts.pairs import PromptSet, read_prompt_set
from aes_audit.reward_health import RewardHealth
from aes_audit.rewards.registry import resolve_reward, scorer_name
from aes_audit.session import AuditSession, same_family
from aes_audit.spending import Spending

if TYPE_CHECKING:
    from aes_audit.evidence.editing import EditSources
    from aes_audit.evidence.measuring import Instruments
    from aes_audit.evidence.progress import Progress
    from aes_audit.evidence.store import Store
    from aes_audit.evidence.table import Evidence
    from aes_audit.gates.curtailment import Settled
    from aes_audit.gates.verdicts import Judgement
    from aes_audit.generators.protocol import ResolvedGenerator
    from aes_audit.rewards.protocol import ResolvedReward
    from aes_audit.stopping import EarlyStop

__all__ = ["LiveSession"]


class LiveSession(AuditSession):
    """Collects its own evidence from models."""

    def __init__(self, config: AuditConfig, thresholds: Thresholds, profile: Profile, progress: Progress) -> None:
        """Look up, before the first test, everything that a typo can break; raises UsageError."""
        super().__init__(config, thresholds, _with_source(profile, config.edit_source))
        self.progress = progress
        self._collected = CollectedEvidence(
            {"pairs": self._collect_pairs, "edits": self._collect_edits, "art": self._collect_art}
        )
        self._settled: dict[Case, Settled] = {}
        self._selected: tuple[Case, ...] | None = None
        self._compared: frozenset[Case] = frozenset()
        self._warned = False
        _ = (self.prompts, self.generators, self.rewards, self.judge, self.cases)
        if config.require_pinned == "on":
            pinned = {spec: self.rewards[name] for name, spec in self._reward_specs.items()}
            refuse_floating(self.generators.values(), pinned, self.judge, config.rootdir)
        for gate in self.gates:
            refuse_unreachable(thresholds.path, gate, self.planned(gate.metric))
        self.store.check_writable()
        self.spending.refuse_unready(self.generators, self.prompts, self.store)
        self.questions.refuse_unready()

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
        names = [preference.name for preference in self.preferences.all]
        quality = tuple(map(self._scorer_name, self.profile.quality))
        matcher = self._scorer_name(self.profile.matcher)
        instruments = replace(self.profile, quality=quality, matcher=matcher, truth=self.truth)
        cannot_edit = self.generators.keys() - self.editors.keys()
        art = self.art.plan if self.art else None
        planned = live_cases(self.subjects, instruments, self.thresholds, names, cannot_edit, art)
        shown = self.photographs
        return (*planned, *(shown.cases(self.subjects.rewards, self.profile, self.thresholds) if shown else ()))

    def _scorer_name(self, spec: str) -> str:
        """What the evidence calls the reward of a SPEC: without its path or revision."""
        return scorer_name(spec, device=self.device)

    @cached_property
    def spending(self) -> Spending:
        """What hosted models may cost in this run."""
        return Spending(self.config.budget, self.config.run, self.config.store)

    @cached_property
    def generators(self) -> Mapping[str, ResolvedGenerator]:
        """Every generator whose images are needed, pinned."""
        return {
            name: self.spending.paid(
                resolve_model(
                    name,
                    root=self.config.rootdir,
                    device=self.device,
                    batch_size=self.config.batch_size,
                    cache=self.config.store / "fingerprints",
                    recipe=self.profile.recipe,
                )
            )
            for name in dict.fromkeys([*self.subjects.generators, *self._edit_sources, *self._art_references])
        }

    @cached_property
    def art(self) -> LiveArt | None:
        """The artworks that the rewards are shown; None where there are none, or no reward is audited."""
        return live_art(self.config, self.profile) if self.subjects.rewards else None

    @cached_property
    def photographs(self) -> LivePhotographs | None:
        """The photographs that the rewards choose between; None without, or where no reward is audited."""
        return live_photographs(self.config) if self.subjects.rewards else None

    @property
    def _art_references(self) -> tuple[str, ...]:
        return (self.art.reference,) if self.art else ()

    @property
    def _edit_sources(self) -> tuple[str, ...]:
        return (self.profile.edit_source,) if self.profile.edits and self.subjects.models else ()

    @cached_property
    def editors(self) -> Mapping[str, ResolvedEditor]:
        """The audited generators as editors, pinned; without those that are asked over a network."""
        audited = {name: self.generators[name] for name in self.subjects.models}
        return {name: ResolvedEditor(model) for name, model in audited.items() if isinstance(model, DiffusersModel)}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the results must know about how models compare and what judged them, a sentence each."""
        base = self.generators[self.subjects.base_model] if self.subjects.base_model else None
        said = (
            *provenance_warnings([self.generators[name] for name in self.subjects.models], base),
            *self.judge.warnings,
        )
        asked = self.config.require_pinned == "on"
        judges = [judge.name for judge in self.preferences.onlookers]
        judges += [self.judge.name] if isinstance(self.judge, EndpointJudgeModel) else []
        hosted = hosted_warning(self.generators, self.config.rootdir, judges) if asked else None
        return (*said, hosted) if hosted else said

    @cached_property
    def _reward_specs(self) -> Mapping[str, str]:
        """The SPEC of each reward by its name in the evidence."""
        asked = live_subjects(self.config, self.profile).rewards
        specs: dict[str, str] = {}
        for spec in dict.fromkeys([*asked, *self.profile.quality, self.profile.matcher]):
            other = specs.setdefault(self._scorer_name(spec), spec)
            if other != spec:
                raise UsageError(
                    f"rewards {other!r} and {spec!r} have one name in the evidence: audit them one by one."
                )
        return specs

    @cached_property
    def rewards(self) -> Mapping[str, ResolvedReward]:
        """Rewards under audit and those that serve as instruments, pinned."""
        cache, root = self.config.store / "fingerprints", self.config.rootdir
        specs = self._reward_specs
        return {name: resolve_reward(spec, device=self.device, root=root, cache=cache) for name, spec in specs.items()}

    @cached_property
    def judge(self) -> DimensionJudgeModel:
        """The dimension judge, pinned."""
        cache, root = self.config.store / "fingerprints", self.config.rootdir
        judge = resolve_judge(self.profile.judge, device=self.device, root=root, cache=cache)
        return judge.paid_from(self.spending.budget) if isinstance(judge, EndpointJudgeModel) else judge

    @cached_property
    def preferences(self) -> PreferencePanel:
        """The preference judges: the profile's and those named besides."""
        return PreferencePanel.of([*self.profile.preferences, self.profile.truth, *self.config.judges], self.spending)

    @property
    def truth(self) -> str:
        """What the evidence calls the judge that rewards are held against."""
        return self.preferences.name(self.profile.truth)

    @property
    def questions(self) -> Questions:
        """What the judges that look at images are still to be asked."""
        return Questions(self.preferences, self.generators, self.prompts, self.store)

    def evidence(self, models: Sequence[str]) -> Evidence:
        """The prompt pairs of these generators, collected where they are not in the store yet."""
        return self._collected.of(("pairs", name) for name in models)

    def evidence_of(self, case: Case) -> Evidence:
        """Only the sets and generators that the case reads."""
        return self._collected.of(case.reads)

    def _collect_pairs(self, name: str) -> Evidence:
        if self.photographs and name == self.photographs.model:
            from aes_audit.evidence.photographs import collect_photographs

            rewards = [self.rewards[reward] for reward in self.subjects.rewards]
            return collect_photographs(self.photographs.photographs, rewards, self.store, self.progress)
        from aes_audit.evidence.collecting import collect_pairs

        rule = self._early_stop(name)
        found = collect_pairs(self.generators[name], self._plan, self.instruments, self.store, self.progress, rule)
        if rule:
            self._settled.update(rule.settled)
        return found

    def _collect_edits(self, name: str) -> Evidence:
        from aes_audit.evidence.editing import collect_edits
        from aes_audit.evidence.measuring import Instruments

        # What is not measured from edits is not asked about them: here, whether the concept is there.
        rewards = tuple(self.rewards[self._scorer_name(spec)] for spec in self.profile.quality)
        instruments = Instruments(rewards, self.judge, ())
        return collect_edits(self.editors[name], self.edit_sources, instruments, self.store, self.progress)

    def _collect_art(self, name: str) -> Evidence:
        from aes_audit.evidence.art import collect_art

        assert self.art is not None
        # Beside the audited rewards the matcher, which says whether the captions fit the works.
        rewards = [*self.subjects.rewards, self._scorer_name(self.profile.matcher)]
        chosen = [self.rewards[reward] for reward in dict.fromkeys(rewards)]
        return collect_art(self.art.art, chosen, self.store, self.progress)

    @cached_property
    def edit_sources(self) -> EditSources:
        """The wide images that are edited; collects the pairs of the generator that draws them."""
        from aes_audit.evidence.editing import choose_sources

        name, profile = self.profile.edit_source, self.profile
        pairs = self.evidence([name])
        return choose_sources(self.generators[name], self._plan, pairs, truth=self.truth, limit=profile.edits)

    @property
    def edited(self) -> tuple[str, ...] | None:
        """Ids of the pairs whose wide images are edited; None as long as nobody asked."""
        known: EditSources | None = self.__dict__.get("edit_sources")
        return None if known is None else tuple(pair.id for pair in known.pairs)

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

        reading = [case for case in self._selected if case.set == "pairs" and name in case.models]
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
        self._warn_once()
        if case.gate is not None and self.config.health == "check":
            self._health.refuse_unhealthy(case)
        settled = self._settled_early(case)
        return settled.judgement(self.measurement(case)) if settled else super().judgement(case)

    def _warn_once(self) -> None:
        # Within a test, because pytest shows the warnings of tests in its summary.
        for said in () if self._warned else self.warnings:
            warnings.warn(said, ProvenanceWarning, stacklevel=3)
        self._warned = True

    @cached_property
    def _health(self) -> RewardHealth:
        return RewardHealth(self.rewards, self.preferences.deciding, self.store, self.progress)

    def gate(self, case: Case) -> Gate | None:
        """With anytime stopping, part of the level has been spent on the way; the rest is left for the end."""
        if case.gate is None or self.config.early_stop != "anytime":
            return case.gate
        from aes_audit.gates.curtailment import final_gate

        return final_gate(case.gate)

    def _settled_early(self, case: Case) -> Settled | None:
        _ = self.evidence_of(case)
        settled = self._settled.get(case)
        return settled if settled and (settled.stopped or settled.rule == "anytime") else None

    @cached_property
    def instruments(self) -> Instruments:
        """Everything that scores images in this run."""
        from aes_audit.evidence.measuring import Instruments

        panel = self.preferences
        return Instruments(tuple(self.rewards.values()), self.judge, panel.deciding, panel.onlookers)

    def expected(self, case: Case) -> frozenset[str]:
        """The ids of the planned pairs, of the edited ones, of the artworks, or of those a stopped generator got to."""
        if case.set == "edits":
            return frozenset(pair.id for pair in self.edit_sources.pairs)
        if case.set == "art" and self.art:
            return self.art.items
        if self.photographs and case.models == (self.photographs.model,):
            return self.photographs.photographs.items
        if case in self._settled:
            return frozenset(self.evidence_of(case).items(case.models[0], "pairs"))
        return frozenset(pair.id for pair in self.prompts.pairs)

    def header(self) -> list[str]:
        """Models with revisions, pairs, edits, device and cache, and what the gates can see."""
        return header(self)

    def provenance(self) -> Mapping[str, Any]:
        """Prompt set, models and instruments with revisions and identities, and what is edited."""
        return provenance(self)

    def planned(self, metric: str) -> int:
        """The items of this metric, at most."""
        if METRIC_NEEDS[metric].set == "art":
            return len(self.art.items) if self.art else 0
        pairs = len(self.prompts.pairs)
        return min(pairs, self.profile.edits) if METRIC_NEEDS[metric].set == "edits" else pairs

    @property
    def gates(self) -> list[Gate]:
        """The gates of this run, each once."""
        return list(dict.fromkeys(case.gate for case in self.cases if case.gate is not None))


def _with_source(profile: Profile, named: str | None) -> Profile:
    """The profile with the source of edits that was named."""
    if named and not profile.edits:
        raise UsageError(f"--audit-edit-source={named}: profile {profile.name!r} edits nothing; give it `edits`.")
    return replace(profile, edit_source=named) if named else profile
