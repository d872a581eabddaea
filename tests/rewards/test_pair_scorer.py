"""The driver of built-in rewards: what is encoded how often, what happens on faults and when memory runs out."""

from __future__ import annotations

import io
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aes_audit.errors import InfrastructureError
from aes_audit.rewards.pair_scorer import PairScorer
from aes_audit.rewards.protocol import Answer, TextReading, answers


class Brightness:
    """The mean grey value of the image plus the length of the text: little to compute, and all calls are kept."""

    outputs: tuple[str, ...] = ("value", "sigma")

    def __init__(self, image_batch: int = 4, pair_batch: int = 4) -> None:
        self.image_batch = image_batch
        self.pair_batch = pair_batch
        self.images: list[int] = []
        self.texts: list[list[str]] = []
        self.pairs: list[int] = []
        self.fits = 10**9
        self.error: Exception = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    def read_text(self, text: str) -> TextReading:
        if text == "forbidden":
            return TextReading(0, False, "the text is forbidden")
        return TextReading(len(text), len(text) > 10)

    def image_note(self, image: Image.Image) -> str | None:
        return "grey" if image.mode == "L" else None

    def encode_images(self, images: Sequence[Image.Image]) -> Sequence[float]:
        self._need(len(images))
        self.images.append(len(images))
        return [float(np.asarray(image.convert("L"), dtype=float).mean()) for image in images]

    def encode_texts(self, texts: Sequence[str]) -> Sequence[float]:
        self._need(len(texts))
        self.texts.append(list(texts))
        return [math.nan if text == "nan" else float(len(text)) for text in texts]

    def combine(self, images: Sequence[float], texts: Sequence[float]) -> Sequence[tuple[float, ...]]:
        self._need(len(images))
        assert torch.is_inference_mode_enabled()
        assert self.float32_is_float32()
        self.pairs.append(len(images))
        return [(image + text, image) for image, text in zip(images, texts, strict=True)]

    def float32_is_float32(self) -> bool:
        """Whether TF32 is off, by whichever switches this torch has."""
        conv: Any = getattr(torch.backends.cudnn, "conv", None)
        if conv is None:
            return not torch.backends.cudnn.allow_tf32
        return {conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision} == {"ieee"}

    def _need(self, rows: int) -> None:
        if rows > self.fits:
            raise self.error


def plain(level: int, mode: str = "RGB") -> Image.Image:
    """One colour."""
    return Image.new("L", (2, 2), level).convert(mode)


def test_every_image_every_text_and_every_pair_is_computed_once() -> None:
    reward = Brightness()
    first, second = plain(10), plain(20)
    values = PairScorer(reward).score([first, second, first, first], ["a", "bb", "bb", "a"])
    assert values == [11, 22, 12, 11]
    assert (sum(reward.images), reward.texts, sum(reward.pairs)) == (2, [["a", "bb"]], 3)


def test_texts_are_remembered_from_call_to_call_and_images_are_not() -> None:
    reward = Brightness()
    scorer = PairScorer(reward)
    image = plain(10)
    assert scorer.score([image], ["a"]) == scorer.score([image], ["a"]) == [11]
    assert (len(reward.texts), len(reward.images)) == (1, 2)


def test_texts_of_like_length_share_a_pass() -> None:
    reward = Brightness(pair_batch=2)
    values = PairScorer(reward).score([plain(10)] * 4, ["aaaaa", "b", "cccc", "dd"])
    assert values == [15, 11, 14, 12]
    assert reward.texts == [["b", "dd"], ["cccc", "aaaaa"]]


@settings(max_examples=30, deadline=None)
@given(
    plan=st.lists(st.tuples(st.integers(0, 9), st.text("abc", max_size=5)), max_size=40),
    image_batch=st.integers(1, 5),
    pair_batch=st.integers(1, 5),
)
def test_any_plan_and_any_batch_gives_the_same_answers(
    plan: list[tuple[int, str]], image_batch: int, pair_batch: int
) -> None:
    images = [plain(level) for level in range(10)]
    values = PairScorer(Brightness(image_batch, pair_batch)).score([images[n] for n, _ in plan], [t for _, t in plan])
    assert values == [level + len(text) for level, text in plan]


def test_an_answer_says_what_else_is_known() -> None:
    grey, colour = PairScorer(Brightness()).answers([plain(5, "L"), plain(5)], ["a", "a long, long text"])
    assert grey == Answer(6.0, None, {"sigma": 5.0, "text_tokens": 1, "truncated": False, "recipe_note": "grey"})
    assert colour.extra == {"sigma": 5.0, "text_tokens": 17, "truncated": True}


def test_what_cannot_be_scored_costs_no_other_row() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(buffer, "png")
    broken = Image.open(io.BytesIO(buffer.getvalue()[:1000]))
    empty = Image.new("RGB", (0, 5))
    images = [plain(1), plain(1), broken, empty, plain(1), plain(1)]
    texts = ["a", "forbidden", "a", "a", "nan", "\ud800"]
    found = answers(PairScorer(Brightness()), images, texts)
    assert [answer.value for answer in found] == [2.0, None, None, None, None, None]
    assert found[1].error == "the text is forbidden"
    assert str(found[2].error).startswith("the image cannot be decoded: ")
    assert found[3].error == "the image has no pixels: its size is 0 x 5"
    assert found[4].error == "the reward gave nan"
    assert found[5].error == "the text holds a lone surrogate, which is no character"
    values = PairScorer(Brightness()).score(images, texts)
    assert values[0] == 2.0
    assert all(math.isnan(value) for value in values[1:])


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
        RuntimeError("MPS backend out of memory (MPS allocated: 3.00 GB)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory: you tried to allocate"),
    ],
)
def test_a_batch_that_does_not_fit_is_halved_and_the_size_is_remembered(error: Exception) -> None:
    reward = Brightness(image_batch=16, pair_batch=16)
    reward.fits, reward.error = 3, error
    scorer = PairScorer(reward)
    images = [plain(level) for level in range(20)]
    assert scorer.score(images, ["text"] * 20) == [level + 4 for level in range(20)]
    assert scorer.batch_sizes == {"images": 2, "texts": 16, "pairs": 2}
    assert sum(reward.images) == sum(reward.pairs) == 20, "what was done is not done again"
    scorer.score(images, ["text"] * 20)
    assert set(reward.images) == {2}


def test_memory_that_does_not_even_suffice_for_one_is_an_infrastructure_error() -> None:
    reward = Brightness()
    reward.fits = 0
    with pytest.raises(InfrastructureError, match="ran out of memory with texts one at a time"):
        PairScorer(reward).score([plain(1)], ["a"])


def test_another_error_is_passed_on() -> None:
    reward = Brightness()
    reward.fits, reward.error = 0, RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        PairScorer(reward).score([plain(1)], ["a"])


def test_nothing_is_asked_nothing_is_computed() -> None:
    reward = Brightness()
    assert PairScorer(reward).score([], []) == []
    assert (reward.images, reward.texts, reward.pairs) == ([], [], [])


def test_images_and_texts_must_come_in_pairs() -> None:
    with pytest.raises(ValueError, match=r"^1 images and 2 texts: give one text per image\.$"):
        PairScorer(Brightness()).score([plain(1)], ["a", "b"])


def test_an_exif_orientation_is_said_once_and_not_applied() -> None:
    turned = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    turned.getexif()[0x0112] = 6
    scorer = PairScorer(Brightness())
    with pytest.warns(UserWarning, match="EXIF orientation 6: it is scored as stored"):
        scorer.score([turned], ["a"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scorer.score([turned], ["a"])
        PairScorer(Brightness()).score([plain(1)], ["a"])


SETTINGS = """
import os, sys
import torch
from PIL import Image
from rewards.test_pair_scorer import Brightness, PairScorer

def seen(old_ones):
    return [getattr(torch.backends.cudnn, name) for name in ["allow_tf32"] if old_ones] + [
        owner.fp32_precision for owner in (torch.backends.cuda.matmul, torch.backends.cudnn.conv)
    ]

def check(setting, old_ones):
    exec(setting)
    before = seen(old_ones)
    PairScorer(Brightness()).score([Image.new("RGB", (2, 2))], ["a"])
    assert seen(old_ones) == before, (setting, seen(old_ones), before)

# What was set once cannot be unset: each setting is made in a process of its own, and all of them import torch once.
for setting, old_ones in {settings}:
    if not (child := os.fork()):
        check(setting, old_ones)
        sys.exit(0)
    if os.waitpid(child, 0)[1]:
        sys.exit(setting)
"""


@pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="this torch has the old switches only")
def test_the_callers_precision_is_given_back() -> None:
    settings = [
        ("", True),
        ("torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True", True),
        ("torch.backends.fp32_precision = 'tf32'", False),
        ("torch.backends.cuda.matmul.fp32_precision = 'tf32'", False),
    ]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    command = [sys.executable, "-W", "error::UserWarning", "-c", SETTINGS.format(settings=settings)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
