"""Which measurements a run makes: every case is known from the configuration, before any model is touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from aes_audit.errors import UsageError
from aes_audit.gates.thresholds import Gate, Profile, Thresholds
from aes_audit.measures.names import METRIC_NEEDS, PAIRED, REWARD_SUBJECT, SCORED_BY, TRUTH_NEEDED
from aes_audit.options import AuditConfig

__all__ = [
    "Case",
    "Subjects",
    "art_cases",
    "editing_cases",
    "emotion_cases",
    "face_cases",
    "live_cases",
    "live_subjects",
]


@dataclass(frozen=True, slots=True)
class Subjects:
    """What is under audit."""

    models: tuple[str, ...]
    """Generators, as in the evidence's `model` column."""
    base_model: str | None
    """What each of them is compared with."""
    rewards: tuple[str, ...]
    """Reward models."""
    pool: tuple[str, ...]
    """Generators whose images the rewards are audited on."""

    @property
    def generators(self) -> tuple[str, ...]:
        """Every generator whose images are needed, each once."""
        pool = self.pool if self.rewards else ()
        return tuple(dict.fromkeys([*self.models, *([self.base_model] if self.base_model else []), *pool]))


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement to make and to judge."""

    metric: str
    """A metric of the evidence contract."""
    models: tuple[str, ...]
    """The generator, or the pool of generators a reward is audited on."""
    base_model: str | None
    """For paired metrics."""
    scorer: str
    """What is read: a reward, a preference judge, `judge`, or `images` for what is known about them without a score."""
    truth: str | None
    """The preference judge that a reward is held against, or that chooses the pictures to edit."""
    gate: Gate | None
    """What is asked of it."""
    group: str | None = None
    """The sub-group, for metrics that have some: an emotion, a dimension."""
    reference: str | None = None
    """The generator whose originals are the population that art is compared with."""
    source: str | None = None
    """The generator whose wide images are edited; `truth` says which of them are what was asked for."""

    @property
    def set(self) -> str:
        """The evidence set that is measured."""
        return METRIC_NEEDS[self.metric].set

    @property
    def reads(self) -> tuple[tuple[str, str], ...]:
        """Set and generator of every table that the measurement needs."""
        models = (*self.models, *([self.base_model] if self.base_model else []))
        population = [("pairs", self.reference)] if self.reference else []
        return (*((self.set, model) for model in models), *population)

    @property
    def pairs_of(self) -> frozenset[str]:
        """Generators whose prompt pairs it needs whole, be it for choosing what is measured."""
        read = {model for set_, model in self.reads if set_ == "pairs"}
        return frozenset(read | {self.source} if self.source else read)

    @property
    def subject(self) -> str:
        """What the verdict is about."""
        return self.scorer if self.metric in REWARD_SUBJECT else self.models[0]

    @property
    def id(self) -> str:
        """Readable, unique, and good for `-k`."""
        parts = [self.subject]
        if self.metric in REWARD_SUBJECT:
            parts += [f"on {' + '.join(self.models)}"]
        else:
            parts += [f"vs {self.base_model}"] if self.base_model else []
            parts += [f"by {self.scorer}"]
        parts += [f"truth {self.truth}"] if self.truth else []
        parts += [f"against originals of {self.reference}"] if self.reference else []
        parts += [f"on pictures of {self.source}"] if self.source else []
        parts += [self.group] if self.group else []
        return ", ".join(parts)

    @property
    def label(self) -> str:
        """Metric and scorer: what tells the gates of one subject apart."""
        return f"{self.metric} by {self.scorer}"

    @property
    def baseline_key(self) -> str:
        """The case's entry in the baseline file of its subject and audit."""
        parts = [self.metric, self.scorer, self.truth or "", f"vs {self.base_model}" if self.base_model else ""]
        # One reward may be audited on several generators in one run.
        parts += [f"on {' + '.join(self.models)}"] if self.metric in REWARD_SUBJECT else []
        parts += [f"against originals of {self.reference}"] if self.reference else []
        parts += [f"on pictures of {self.source}"] if self.source else []
        parts += [self.group] if self.group else []
        return " ".join(part for part in parts if part)

    @property
    def worker(self) -> str:
        """Cases of one subject share an xdist worker, so that its model is loaded once."""
        return self.subject


def live_subjects(config: AuditConfig, profile: Profile) -> Subjects:
    """What a run that collects its own evidence audits: what was named, else the profile's own subjects.

    Raises UsageError where neither names any, and for a base that is the only model under audit.
    """
    named = bool(config.models or config.rewards)
    if not (named or profile.models or profile.rewards):
        raise UsageError(f"profile {profile.name!r} audits nothing by itself: name --model=SPEC or --reward=NAME.")
    models = tuple(dict.fromkeys(config.models)) if named else profile.models
    if models == (config.base_model,):
        raise UsageError(
            f"--base-model={config.base_model} is the only model under audit, and nothing is compared with itself: "
            "name the model that descends from it with --model=SPEC."
        )
    return Subjects(
        models=models,
        base_model=config.base_model,
        rewards=tuple(dict.fromkeys(config.rewards)) if named else profile.rewards,
        pool=profile.pool,
    )


def live_cases(
    subjects: Subjects, profile: Profile, thresholds: Thresholds, preferences: Sequence[str]
) -> tuple[Case, ...]:
    """Every case that is measured on the prompt pairs of a run that collects its own evidence."""
    scorers = {
        "preference": tuple(preferences),
        "reward": profile.quality,
        "matcher": (profile.matcher,),
        "judge": ("judge",),
        "images": ("images",),
    }
    return (
        *_generator_cases(subjects, scorers, profile, thresholds),
        *_reward_cases(subjects.rewards, [subjects.pool], [profile.truth], profile, thresholds),
    )


def _generator_cases(
    subjects: Subjects, scorers: Mapping[str, tuple[str, ...]], profile: Profile, thresholds: Thresholds
) -> Iterator[Case]:
    for metric, kind in SCORED_BY.items():
        if metric in REWARD_SUBJECT or (metric in PAIRED and subjects.base_model is None):
            continue
        base = subjects.base_model if metric in PAIRED else None
        for model in subjects.models:
            # A model that stands among the audited ones as their base has nothing to be compared with.
            if model == base:
                continue
            for scorer, truth in _read(scorers[kind], metric):
                yield Case(metric, (model,), base, scorer, truth, thresholds.gate(profile.name, metric, scorer))


def _read(scorers: Sequence[str], metric: str) -> Iterator[tuple[str, str | None]]:
    """Each scorer; where one is held against another, each two of them once."""
    if metric in TRUTH_NEEDED:
        yield from combinations(scorers, 2)
    else:
        yield from ((scorer, None) for scorer in scorers)


def _reward_cases(
    rewards: Sequence[str],
    pools: Sequence[tuple[str, ...]],
    truths: Sequence[str],
    profile: Profile,
    thresholds: Thresholds,
) -> Iterator[Case]:
    for metric in SCORED_BY:
        if metric not in REWARD_SUBJECT:
            continue
        needed: Sequence[str | None] = truths if metric in TRUTH_NEEDED else (None,)
        for pool in pools:
            for reward in rewards:
                gate = thresholds.gate(profile.name, metric, reward)
                for truth in needed:
                    yield Case(metric, pool, None, reward, truth, gate)


def editing_cases(models: Sequence[str], source: str, profile: Profile, thresholds: Thresholds) -> Iterator[Case]:
    """How far each editor lifts each score of the wide images of `source`."""
    for metric, needs in METRIC_NEEDS.items():
        if needs.set != "edits":
            continue
        for model in models:
            for scorer in (*profile.quality, *(["judge"] if needs.also_judge else [])):
                gate = thresholds.gate(profile.name, metric, scorer)
                yield Case(metric, (model,), None, scorer, profile.truth, gate, source=source)


def art_cases(
    rewards: Sequence[str],
    model: str,
    reference: str,
    styles: Sequence[str],
    profile: Profile,
    thresholds: Thresholds,
) -> Iterator[Case]:
    """Where each reward places the works of `model` among the originals of `reference`: all, and those of a style."""
    for reward in rewards:
        for group in (None, *styles):
            # Whether a taste is narrow is asked of all works; a style says where.
            gate = thresholds.gate(profile.name, "art_z", reward) if group is None else None
            yield Case("art_z", (model,), None, reward, None, gate, group, reference)


def emotion_cases(rewards: Sequence[str], model: str, profile: Profile, thresholds: Thresholds) -> Iterator[Case]:
    """Whether each reward recognises, on the tuples `model`, each negative emotion and happiness beside it."""
    for metric, needs in METRIC_NEEDS.items():
        if needs.set != "emotion" or metric not in REWARD_SUBJECT:
            continue
        for reward in rewards:
            gate = thresholds.gate(profile.name, metric, reward)
            for group in needs.groups:
                yield Case(metric, (model,), None, reward, None, gate, group)


def face_cases(subjects: Subjects, scorer: str, profile: Profile, thresholds: Thresholds) -> Iterator[Case]:
    """What the faces of each generator show, by the matcher `scorer`, and what alignment changed in them."""
    for metric, needs in METRIC_NEEDS.items():
        if needs.set != "emotion" or metric in REWARD_SUBJECT or (needs.paired and subjects.base_model is None):
            continue
        base = subjects.base_model if needs.paired else None
        gate = thresholds.gate(profile.name, metric, scorer)
        for model in subjects.models:
            if model == base:
                continue
            for group in needs.groups:
                yield Case(metric, (model,), base, scorer, None, gate, group)
