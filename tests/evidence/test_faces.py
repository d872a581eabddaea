"""Faces of a generator: every template in every emotion, each with a seed of its own, under all four statements."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from evidence.noise_generator import NoiseGenerator, noise
from PIL.Image import Image

from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.faces import FaceMatcher, collect_faces, face_jobs
from aes_audit.evidence.reading import read_evidence
from aes_audit.evidence.schema import EMOTIONS
from aes_audit.evidence.store import Store
from aes_audit.generators.protocol import MissingImage
from aes_audit.prompts.emotion import EmotionTemplate, EmotionTemplates, statement
from aes_audit.rewards.registry import ClipRewardModel, OfficialReward, contrastive, resolve_reward
from aes_audit.weights.pinned import resolve_weights
from aes_audit.weights.source import Source

TEMPLATES = EmotionTemplates(
    "own", (EmotionTemplate("one", "a boy is {emotion}"), EmotionTemplate("two", "a man is {emotion}", "a man")), "d"
)


@dataclass
class Matcher:
    """Rates a statement by its length; remembers what it was asked."""

    name: str = "match"
    revision: str = "1"
    asked: list[str] = field(default_factory=list)
    identity: Mapping[str, Any] = field(default_factory=lambda: {"kind": "length"})

    def load(self) -> Matcher:
        """Nothing to load."""
        return self

    def score(self, images: Sequence[Image], texts: Sequence[str]) -> list[float]:
        """Characters; none for fear."""
        self.asked += texts
        return [math.nan if "fearful" in text else float(len(text)) for text in texts]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def collect(generator: NoiseGenerator, store: Store, matcher: Any = None, repeat: int = 0) -> pd.DataFrame:
    """The rows of two templates."""
    found = collect_faces(generator, TEMPLATES, matcher or Matcher(), store, LocalEngine(), repeat)
    return found.frame


def test_every_face_is_scored_under_all_four_statements(store: Store) -> None:
    matcher, generator = Matcher(), NoiseGenerator()
    frame = collect(generator, store, matcher)
    assert len(frame) == 2 * 4 * 4
    assert {*frame["scorer"]} == {"match/face"}
    assert {*zip(frame["item"], frame["image"], frame["prompt"], strict=True)} == {
        (item, asked, said) for item in ("one", "two") for asked in EMOTIONS for said in EMOTIONS
    }
    assert sorted(prompt for call in generator.calls for prompt in call) == sorted(
        t.prompt(e) for t in TEMPLATES.templates for e in EMOTIONS
    )
    assert {*matcher.asked} == {f(e) for e in EMOTIONS for f in (statement, TEMPLATES.templates[1].statement)}
    lost = frame[frame["prompt"] == "fearful"]
    assert lost["value"].isna().all()
    assert {*lost["error"]} == {"the reward gave nan"}


def test_the_rows_are_those_of_a_recorded_file(store: Store, tmp_path: Path) -> None:
    found = collect_faces(NoiseGenerator(), TEMPLATES, Matcher(), store, LocalEngine())
    found.to_parquet(tmp_path / "e.parquet")
    assert read_evidence(tmp_path / "e.parquet") == found


def test_no_two_prompts_share_a_seed_and_every_generator_has_the_same(store: Store) -> None:
    seeds = [job.request.seed for job in face_jobs(TEMPLATES)]
    assert len({*seeds}) == 8
    assert {*collect(NoiseGenerator(), store)["seed"]} == {*seeds}
    assert {*seeds}.isdisjoint(job.request.seed for job in face_jobs(TEMPLATES, repeat=1))
    assert [job.request.seed for job in face_jobs(TEMPLATES.first(1))] == seeds[:4]


def test_what_the_store_holds_is_neither_drawn_nor_asked_again(store: Store) -> None:
    first = collect(NoiseGenerator(), store)
    generator, matcher = NoiseGenerator(), Matcher()
    again = collect(generator, store, matcher)
    assert (generator.calls, matcher.asked) == ([], [])
    pd.testing.assert_frame_equal(first, again)


def test_a_face_that_cannot_be_drawn_is_missing_under_every_statement(store: Store) -> None:
    answers = {"a boy is sad": MissingImage("the service declined", "refused")}
    frame = collect(NoiseGenerator(answers), store)
    lost = frame[(frame["item"] == "one") & (frame["image"] == "sad")]
    assert len(lost) == 4
    assert lost["value"].isna().all()
    assert {*lost["image_fault"]} == {"refused"}
    assert frame[(frame["item"] == "one") & (frame["image"] == "angry")]["image_sha256"].notna().all()


def test_one_picture_for_two_people_is_no_answer_to_either(store: Store) -> None:
    picture = noise(face_jobs(TEMPLATES)[0].request)
    answers = {"a boy is sad": picture, "a man is sad": picture, "a man is angry": picture}
    frame = collect(NoiseGenerator(answers), store)
    lost = frame[frame["image_fault"] == "duplicate"]
    assert {*zip(lost["item"], lost["image"], strict=True)} >= {("one", "sad"), ("two", "sad"), ("two", "angry")}


def test_a_clip_chooses_among_the_statements_by_its_own_logits(store: Store, tiny_clip: Path) -> None:
    clip = ClipRewardModel("tiny/clip", resolve_weights(Source(tiny_clip), "config.json"), scaled=False, device="cpu")
    frame = collect(NoiseGenerator(), store, clip)
    assert {*frame["scorer"]} == {"tiny/clip/face"}
    sums = frame.groupby(["item", "image"])["value"].sum()
    np.testing.assert_allclose(sums, 1)
    one = frame[(frame["item"] == "one") & (frame["image"] == "sad")].set_index("prompt")["value"]
    (job,) = [job for job in face_jobs(TEMPLATES) if (job.item, job.image) == ("one", "sad")]
    logits = contrastive(clip)
    assert logits is not None
    scores = np.array(logits.load().score([noise(job.request)] * 4, [statement(e) for e in EMOTIONS]))
    expected = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose([one[emotion] for emotion in EMOTIONS], expected, rtol=1e-4)


def test_only_a_clip_chooses_and_a_matcher_that_rates_each_statement_is_taken_at_its_word() -> None:
    clip = resolve_reward(f"clip-l@{'0' * 40}", device="cpu")
    assert isinstance(clip, OfficialReward)
    blip = replace(clip, kind="blip-itm")
    assert (contrastive(Matcher()), contrastive(blip)) == (None, None)
    found = contrastive(clip)
    assert found is not None
    assert found.name == "clip-l[output=logits]"
    assert [(asked.name, asked.chooses) for asked in map(FaceMatcher.of, (blip, clip))] == [
        ("blip-itm/face", False),
        ("clip-l/face", True),
    ]
