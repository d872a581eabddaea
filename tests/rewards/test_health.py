"""A reward that is broken is found out before anything is gated by it, and a working one is not accused."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aes_audit.rewards.clip import load_clip
from aes_audit.rewards.health import (
    HealthCases,
    Kind,
    faults_in,
    health_faults,
    known_cases,
    verdict,
)
from aes_audit.rewards.protocol import Reward
from aes_audit.rewards.registry import resolve_reward


class Function:
    """A reward made of a function of one image and one text."""

    def __init__(self, value: Callable[[Image.Image, str], float]) -> None:
        self.value = value

    def score(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        return [self.value(image, text) for image, text in zip(images, texts, strict=True)]


@pytest.fixture(scope="module")
def cases() -> HealthCases:
    """The cases of the control world."""
    return known_cases("control")


@pytest.fixture(scope="module")
def clip() -> Reward:
    """A reward that works."""
    return resolve_reward("control/clip", device="cpu").load()


@pytest.mark.parametrize("name", ["control/clip", "control/preference"])
@pytest.mark.parametrize("kind", ["control", "photo"])
def test_the_controls_are_healthy(name: str, kind: Kind) -> None:
    assert health_faults(resolve_reward(name, device="cpu").load(), known_cases(kind)) == ()


def test_a_constant_reward_is_unhealthy(cases: HealthCases) -> None:
    faults = health_faults(Function(lambda image, text: 3.0), cases)
    assert len(faults) == 3
    assert all("in 0 of 8 known cases, 7 are needed" in fault for fault in faults)


def test_an_inverted_reward_is_unhealthy(cases: HealthCases, clip: Reward) -> None:
    faults = health_faults(Function(lambda image, text: -clip.score([image], [text])[0]), cases)
    assert len(faults) == 3


def test_noise_is_unhealthy(cases: HealthCases) -> None:
    accused = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        accused += bool(health_faults(Function(lambda image, text: float(rng.normal())), cases))  # noqa: B023
    assert accused >= 199


def test_a_reward_that_ignores_its_text_is_unhealthy_unless_it_says_so(cases: HealthCases, clip: Reward) -> None:
    fixed = Function(lambda image, text: clip.score([image], ["a picture of a red house in a meadow"])[0])
    assert any("exchanged" in fault for fault in health_faults(fixed, cases))

    def colourful(image: Image.Image, text: str) -> float:
        pixels = np.asarray(image.resize((16, 16)), dtype=np.float64)
        return float(pixels.mean(axis=(0, 1)).std())

    blind = Function(colourful)
    assert len(health_faults(blind, cases)) == 1
    assert health_faults(blind, known_cases("control", reads_text=False)) == ()


def test_a_text_blind_reward_whose_numbers_round_differently_is_unhealthy(cases: HealthCases) -> None:
    rng = np.random.default_rng(0)
    trembling = Function(lambda image, text: float(np.asarray(image).std()) * (1 + 1e-7 * float(rng.normal())))
    assert any("exchanged" in fault for fault in health_faults(trembling, cases))


def test_a_reward_that_reads_only_the_text_is_unhealthy(cases: HealthCases) -> None:
    assert len(health_faults(Function(lambda image, text: float(len(text))), cases)) == 3


@pytest.mark.parametrize("seed", range(4))
def test_random_weights_are_unhealthy(cases: HealthCases, tmp_path: Path, seed: int) -> None:
    import torch
    from tiny_models import save_tiny_clip

    folder = save_tiny_clip(tmp_path / "clip")
    reward = load_clip(folder, scaled=False, device="cpu")
    generator = torch.Generator().manual_seed(seed)
    architecture: Any = reward.architecture
    for weight in architecture.model.parameters():
        if weight.ndim > 1:
            weight.copy_(torch.randn(weight.shape, generator=generator) / math.sqrt(weight[0].numel()))
    assert health_faults(reward, cases) != ()


def test_scores_that_are_missing_count_against_a_reward(cases: HealthCases, clip: Reward) -> None:
    one = cases.questions[0].texts[0]

    def sometimes(image: Image.Image, text: str) -> float:
        return math.nan if text == one else clip.score([image], [text])[0]

    # Two of the eight exchanges hold this caption, one of the eight comparisons with a spoiled picture.
    assert health_faults(Function(sometimes), cases) == (
        "captions fit their own pictures better than exchanged in 6 of 8 known cases, 7 are needed",
    )
    assert len(faults_in([{}] * len(cases.questions), cases)) == 3


def test_answers_from_a_store_are_judged_like_those_of_the_reward(cases: HealthCases, clip: Reward) -> None:
    answered = [
        dict(zip(question.texts, clip.score([question.image] * len(question.texts), question.texts), strict=True))
        for question in reversed(cases.questions)
    ]
    assert faults_in(answered[::-1], cases) == ()


@pytest.mark.parametrize("kind", ["control", "photo"])
def test_the_pictures_are_always_the_same_and_asked_each_text_once(kind: Kind) -> None:
    first, second = known_cases(kind), known_cases(kind)
    assert first.orders == second.orders
    for one, other in zip(first.questions, second.questions, strict=True):
        assert one.image.tobytes() == other.image.tobytes()
        assert one.texts == other.texts
        assert len(set(one.texts)) == len(one.texts)
    assert {question.image.width for question in first.questions} == {64 if kind == "control" else 512}


def test_the_verdict_says_what_failed() -> None:
    assert verdict(()) is None
    assert verdict(("first", "second")) == "scorer unhealthy: first; second"
