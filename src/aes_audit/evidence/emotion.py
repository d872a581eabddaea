"""The set `emotion` of rewards: one scene in four emotions, its pictures under the captions that are compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aes_audit.evidence.batches import WHOLE, Part
from aes_audit.evidence.bench import Bench, Shown
from aes_audit.evidence.emotion_tuples import EmotionTuple, TupleSet, filled
from aes_audit.evidence.engines.protocol import Engine
from aes_audit.evidence.schema import EMOTIONS
from aes_audit.evidence.scorers import BATCH
from aes_audit.evidence.showing import show
from aes_audit.evidence.store import Store
from aes_audit.evidence.table import Evidence
from aes_audit.rewards.protocol import ResolvedReward

__all__ = ["captions_of", "collect_emotion", "faces_shown", "tuple_rows"]

HAPPY = EMOTIONS[0]


def collect_emotion(
    tuples: TupleSet, rewards: Sequence[ResolvedReward], store: Store, engine: Engine, part: Part = WHOLE
) -> Evidence:
    """The `emotion` evidence of rewards: every picture under the captions of `captions_of`.

    Touches a reward only for what the store does not hold. A picture that cannot be read is missing, with its reason.
    Raises InfrastructureError or StoreUnusable.
    """
    bench = Bench.of(tuples.digest, rewards, store)
    return Evidence.from_rows(tuple_rows(tuples.model, tuples.tuples, bench, engine, part), source=tuples.name)


def captions_of(image: str) -> tuple[str, ...]:
    """The emotions under whose captions the image of one emotion is shown.

    The happy one competes with each of the others under its caption, and each of them with it under the happy one.
    Other combinations enter no metric.
    """
    return EMOTIONS if image == HAPPY else (HAPPY, image)


def tuple_rows(
    model: str, tuples: Sequence[EmotionTuple], bench: Bench, engine: Engine, part: Part = WHOLE
) -> Iterator[Mapping[str, Any]]:
    """The rows of tuples in order: per picture, reward and caption one."""
    plan = part.of(faces_shown(tuples), BATCH)
    asked = show(bench, plan, lambda each: each[-1], engine, title=f"{model}: faces", unit="image")
    for (one, image, shown), known in asked:
        about = {"model": model, "set": "emotion", "item": one.id, "image": image, **one.columns.get(image, {})}
        for name in bench.scorers:
            for prompt in shown.texts:
                yield {**about, "prompt": prompt, "scorer": name, **bench.outcome(shown, known, name, prompt)}


def faces_shown(tuples: Sequence[EmotionTuple]) -> list[tuple[EmotionTuple, str, Shown]]:
    """Tuple, emotion and what is asked about it, of every picture."""
    return [(one, image, _shown(one, image)) for one in tuples for image in EMOTIONS]


def _shown(one: EmotionTuple, image: str) -> Shown:
    return Shown(one.pictures[image], {emotion: filled(one.caption, emotion) for emotion in captions_of(image)})
