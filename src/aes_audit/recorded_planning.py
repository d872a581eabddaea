"""Which measurements a recorded table allows: every metric that it has rows for, for every model and scorer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aes_audit.errors import UnknownName
from aes_audit.evidence.schema import CONTROL_ARM, FACE
from aes_audit.gates.thresholds import Profile, Thresholds
from aes_audit.measures.names import METRIC_NEEDS, Needs
from aes_audit.options import AuditConfig
from aes_audit.planning import Case, Subjects

if TYPE_CHECKING:
    from aes_audit.evidence.table import Evidence

__all__ = ["recorded_cases"]

JUDGE = "judge"
IMAGES = "images"
PREFERENCE = "preference/"
MATCHER = "blip-itm"
POOLED_DIMENSIONS = (None, "used")
NO_REWARD = (PREFERENCE, "judge/", "truth/")


def recorded_cases(
    evidence: Evidence, config: AuditConfig, profile: Profile, thresholds: Thresholds
) -> tuple[Subjects, tuple[Case, ...]]:
    """Every case that a recorded table has rows for; raises UnknownName for a name that is not in it."""
    models = tuple(dict.fromkeys(config.models)) or evidence.models
    for name in (*models, *([config.base_model] if config.base_model else [])):
        if name not in evidence.models:
            raise UnknownName("model in the evidence", name, evidence.models)
    rewards = tuple(sorted({name for model in models for name in _rewards(evidence, model)}))
    for name in config.rewards:
        if name not in rewards:
            raise UnknownName("reward in the evidence", name, rewards)
    named = tuple(dict.fromkeys(config.rewards))
    compared = tuple(model for model in models if model != config.base_model) if config.models == () else models
    subjects = Subjects(compared, config.base_model, named or rewards, models)
    if named and not config.models:
        subjects = Subjects((), None, named, models)
    plan = _Plan(evidence, profile, thresholds, subjects, named)
    return subjects, tuple(case for metric in METRIC_NEEDS for case in plan.cases(metric))


@dataclass(frozen=True, slots=True)
class _Plan:
    """The table and what was asked of it."""

    evidence: Evidence
    profile: Profile
    thresholds: Thresholds
    subjects: Subjects
    named: tuple[str, ...]
    """Rewards that were named; empty means all."""

    def cases(self, metric: str) -> Iterator[Case]:
        """Every case of one metric."""
        needs = METRIC_NEEDS[metric]
        base = self.subjects.base_model if needs.paired else None
        if needs.paired and base is None:
            return
        for model in self.subjects.pool if needs.of_scorer else self.subjects.models:
            for scorer in self._scorers(model, needs):
                if base is not None and scorer not in self._scorers(base, needs):
                    continue
                asked = self.thresholds.gate(self.profile.name, metric, scorer)
                for truth in self._truths(model, scorer) if needs.truth else (None,):
                    for group in self._groups(model, needs):
                        # The gate of art is about all works; a style says where.
                        gate = asked if needs.set != "art" or group is None else None
                        for reference in self._references(scorer) if metric == "art_z" else (None,):
                            yield Case(metric, (model,), base, scorer, truth, gate, group, reference)

    def _scorers(self, model: str, needs: Needs) -> tuple[str, ...]:
        """The scorers of the kind that a metric needs which have rows for this model."""
        if needs.set == "art" and model.endswith(CONTROL_ARM):
            return ()
        there = self.evidence.scorers(model, needs.set)
        if needs.scorer == IMAGES:
            return (IMAGES,) if any(not name.startswith(PREFERENCE) for name in there) else ()
        judge = (JUDGE,) if any(name.startswith(f"{JUDGE}/") for name in there) else ()
        if needs.scorer == "judge":
            # Ratings hold the judge against people: without them there is nothing to agree with.
            rated = needs.set != "ratings" or any(name.startswith("truth/") for name in there)
            return judge if rated and not (needs.of_scorer and self.named) else ()
        if needs.scorer == "preference":
            return tuple(name for name in there if name.startswith(PREFERENCE))
        if needs.scorer == "matcher" and needs.set == "emotion":
            return tuple(name for name in there if name.endswith(FACE))
        rewards = tuple(name for name in there if _is_reward(name))
        if needs.scorer == "matcher":
            return tuple(name for name in rewards if name in (MATCHER, self.profile.matcher))
        if needs.of_scorer and self.named:
            return tuple(name for name in rewards if name in self.named)
        return (*rewards, *judge) if needs.also_judge else rewards

    def _truths(self, model: str, scorer: str) -> Sequence[str]:
        """The preference judges that a reward is held against; of two such judges, the second in the alphabet."""
        found = [name for name in self.evidence.scorers(model, "pairs") if name.startswith(PREFERENCE)]
        return [name for name in found if name > scorer] if scorer.startswith(PREFERENCE) else found

    def _groups(self, model: str, needs: Needs) -> Sequence[str | None]:
        if needs.set == "art":
            from aes_audit.measures.art import styles

            return [None, *styles(self.evidence, model)]
        if needs.set != "ratings":
            return needs.groups
        there = self.evidence.scorers(model, needs.set)
        rated = [name.partition("/")[2] for name in there if name.startswith("truth/")]
        return [*POOLED_DIMENSIONS, *(name for name in rated if f"{JUDGE}/{name}" in there)]

    def _references(self, scorer: str) -> Sequence[str]:
        """Generators whose originals a reward scored: each is a population that art can be compared with."""
        rows = {
            name: self.evidence.column(name, "pairs", scorer, "original", "original") for name in self.evidence.models
        }
        return [name for name, column in rows.items() if column.items]


def _rewards(evidence: Evidence, model: str) -> Iterator[str]:
    sets = {needs.set for needs in METRIC_NEEDS.values()}
    return (name for set_ in sets for name in evidence.scorers(model, set_) if _is_reward(name))


def _is_reward(scorer: str) -> bool:
    return not scorer.startswith(NO_REWARD) and not scorer.endswith(FACE)
