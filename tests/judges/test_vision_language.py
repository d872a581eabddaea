"""J from a Qwen3-VL: against the stock model asked one question at a time, and whatever the batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoTokenizer, Qwen3VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from aes_audit.errors import InfrastructureError, UnknownName
from aes_audit.judges.guideline import Guideline, question
from aes_audit.judges.spec import ORDERS
from aes_audit.judges.vision_language import QwenSettings, load_qwen_judge
from aes_audit.judges.vision_language_judge import VisionLanguageJudge
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.rewards.memory_batch import MemoryBatch

SIZES = [
    (40, 70),
    (64, 64),
    (300, 100),
    (20, 21),
    (512, 512),
    (96, 64),
    (33, 65),
    (128, 32),
    (64, 200),
    (77, 77),
    (9, 90),
]
SMALL = (64, 96)
TIGHT = 2e-6


def pictures(count: int) -> list[Image.Image]:
    """Noise of several sizes and shapes."""
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (high, wide, 3), dtype=np.uint8)) for wide, high in SIZES[:count]]


def loaded(folder: Path, order: str = "text-first", size: tuple[int, int] = SMALL, **more: Any) -> VisionLanguageJudge:
    """The judge with small images."""
    return load_qwen_judge(folder, device="cpu", settings=QwenSettings("float32", order, size), **more)


class Naive:
    """The stock model, one image and one question at a time, as the published code does it."""

    def __init__(self, model: Any, folder: Path) -> None:
        self.model = model
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.processor: Any = Qwen2VLImageProcessorPil.from_pretrained(folder)
        self.guideline = Guideline.read()

    def inputs(self, image: Image.Image, dimension: str, order: str, size: tuple[int, int]) -> dict[str, Any]:
        """What the stock model is given."""
        parts = [{"type": "text", "text": question(dimension, self.guideline)}, {"type": "image"}]
        turn = [{"role": "user", "content": parts if order == "text-first" else parts[::-1]}]
        text = self.tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        seen = dict(self.processor(image.resize(size), return_tensors="pt"))
        count = int(seen["image_grid_thw"].prod()) // 4
        ids = self.tokenizer(text.replace("<|image_pad|>", "<|image_pad|>" * count), return_tensors="pt")["input_ids"]
        kinds = (ids == self.model.config.image_token_id).int()
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "mm_token_type_ids": kinds, **seen}

    def probabilities(
        self, images: Sequence[Image.Image], order: str = "text-first", size: tuple[int, int] = SMALL
    ) -> NDArray[np.float64]:
        """(images, 11, 3)."""
        digits = self.tokenizer.convert_tokens_to_ids(["0", "1", "2"])
        with torch.no_grad():
            rows = [
                [
                    self.model(**self.inputs(image, name, order, size)).logits[0, -1, digits].double()
                    for name in DIMENSIONS
                ]
                for image in images
            ]
        result: NDArray[np.float64] = torch.stack([torch.stack(row) for row in rows]).softmax(dim=-1).numpy()
        return result


@pytest.fixture(scope="module")
def naive(tiny_qwen: Path) -> Naive:
    """The stock model of the tiny folder."""
    return Naive(Qwen3VLForConditionalGeneration.from_pretrained(tiny_qwen).eval(), tiny_qwen)


@pytest.mark.parametrize("order", ORDERS)
def test_it_equals_the_stock_model_asked_one_question_at_a_time(tiny_qwen: Path, naive: Naive, order: str) -> None:
    images = pictures(3)
    found = loaded(tiny_qwen, order).probabilities(images, DIMENSIONS)
    assert found.shape == (3, 11, 3)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, naive.probabilities(images, order), atol=TIGHT, rtol=0)
    # The tiny model does tell images and questions apart; otherwise all of this would show nothing.
    assert found.std(axis=0).mean() > 0.01
    assert found.std(axis=1).mean() > 0.05


def test_the_papers_image_size_is_the_default(tiny_qwen: Path, naive: Naive) -> None:
    image = pictures(3)[2:]
    found = load_qwen_judge(tiny_qwen, device="cpu").probabilities(image, DIMENSIONS)
    np.testing.assert_allclose(found, naive.probabilities(image, size=(512, 512)), atol=TIGHT, rtol=0)


@pytest.mark.parametrize("order", ORDERS)
def test_scores_do_not_depend_on_batches_nor_on_the_sizes_of_images(tiny_qwen: Path, order: str) -> None:
    images, judge = pictures(11), loaded(tiny_qwen, order)
    judge.images.size, judge.pairs.size = 1, 1
    alone = np.concatenate([judge.score([image], DIMENSIONS) for image in images])
    assert ((alone >= 0) & (alone <= 2)).all()
    for batch, pairs in ((1, 11), (3, 3), (3, 11), (11, 121)):
        judge.images.size, judge.pairs.size = batch, pairs
        found = np.concatenate([judge.score(images[at : at + batch], DIMENSIONS) for at in range(0, 11, batch)])
        np.testing.assert_allclose(found, alone, atol=1e-4, rtol=0)


def test_reading_padded_questions_at_the_last_column_would_show(tiny_qwen: Path, naive: Naive) -> None:
    # What the published code does with a tokenizer that pads on the right: all but the longest question are read at
    # a pad token (R14). The tolerance of the test above must be able to tell.
    image = pictures(1)[0]
    texts = [naive.inputs(image, name, "text-first", SMALL) for name in DIMENSIONS]
    longest = max(text["input_ids"].shape[1] for text in texts)
    digits = naive.tokenizer.convert_tokens_to_ids(["0", "1", "2"])
    found = []
    for text in texts:
        missing = longest - text["input_ids"].shape[1]
        padded = {
            name: torch.nn.functional.pad(text[name], (0, missing), value=naive.tokenizer.pad_token_id if number else 0)
            for number, name in enumerate(("attention_mask", "input_ids"))
        }
        kinds = torch.nn.functional.pad(text["mm_token_type_ids"], (0, missing))
        with torch.no_grad():
            logits = naive.model(**{**text, **padded, "mm_token_type_ids": kinds}).logits[0, -1, digits]
        found.append(logits.double().softmax(dim=-1).numpy())
    correct = naive.probabilities([image])[0]
    lengths = [text["input_ids"].shape[1] for text in texts]
    wrong = [name for name, a, b in zip(DIMENSIONS, found, correct, strict=True) if np.abs(a - b).max() > 1e-4]
    assert wrong == [name for name, length in zip(DIMENSIONS, lengths, strict=True) if length < longest]


def test_padding_behind_a_question_instead_of_before_it_would_show(
    tiny_qwen: Path, naive: Naive, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch.nn.functional import pad

    from aes_audit.judges.vision_language_passages import Passage

    def behind(self: Passage, length: int) -> tuple[torch.Tensor, ...]:
        missing = length - self.length
        return (
            pad(self.embedded, (0, 0, 0, missing)), pad(self.visual, (0, missing)), pad(self.positions, (0, missing))
        )  # fmt: skip

    images = pictures(2)
    monkeypatch.setattr(Passage, "padded", behind)
    found = loaded(tiny_qwen, "image-first").probabilities(images, DIMENSIONS)
    assert np.abs(found - naive.probabilities(images, "image-first")).max() > 1e-3


@pytest.mark.parametrize("order", ORDERS)
def test_the_vision_model_sees_an_image_once_for_all_its_questions(tiny_qwen: Path, order: str) -> None:
    judge = loaded(tiny_qwen, order)
    seen: list[int] = []
    judge.model.model.visual.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(len(kwargs["grid_thw"])), with_kwargs=True
    )
    judge.score(pictures(5), DIMENSIONS)
    assert sum(seen) == 5


def test_a_question_is_read_once_for_all_images(tiny_qwen: Path) -> None:
    judge = loaded(tiny_qwen)
    lengths: list[int] = []
    judge.model.model.language_model.register_forward_pre_hook(
        lambda module, args, kwargs: lengths.append(kwargs["inputs_embeds"].shape[1]), with_kwargs=True
    )
    judge.score(pictures(2), DIMENSIONS)
    first = len(lengths)
    judge.score(pictures(2), DIMENSIONS)
    # 11 questions, and two passes of 11 pairs; then nothing but these passes, over image and end of turn.
    assert (first, len(lengths)) == (13, 15)
    assert set(lengths[-4:]) == {lengths[-1]}
    assert lengths[-1] < min(lengths[:11])


def test_dimensions_are_answered_in_the_order_asked(tiny_qwen: Path) -> None:
    images, judge = pictures(2), loaded(tiny_qwen)
    whole = judge.score(images, DIMENSIONS)
    some = (DIMENSIONS[7], DIMENSIONS[2], DIMENSIONS[10])
    np.testing.assert_allclose(judge.score(images, some), whole[:, [7, 2, 10]], atol=TIGHT)
    np.testing.assert_allclose(judge.score(images[::-1], DIMENSIONS), whole[::-1], atol=TIGHT)


def test_the_score_is_the_expected_class(tiny_qwen: Path) -> None:
    images, judge = pictures(2), loaded(tiny_qwen)
    found = judge.probabilities(images, DIMENSIONS)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-12)
    np.testing.assert_allclose(judge.score(images, DIMENSIONS), found[..., 1] + 2 * found[..., 2], atol=1e-12)


def test_another_guideline_asks_other_questions(tiny_qwen: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[clarity]\nlevels = [[1, "Sharp", "Crisp."], [-1, "Soft", "Blurred."]]\n')
    other = loaded(tiny_qwen, guideline=Guideline.read(tmp_path / "mine.toml"))
    images = pictures(1)
    assert abs(other.score(images, ["clarity"]) - loaded(tiny_qwen).score(images, ["clarity"])).item() > 1e-3
    with pytest.raises(UnknownName, match="dimension in the guideline 'emotion'"):
        other.score(images, ["clarity", "emotion"])


def test_modes_other_than_rgb_are_read_as_pillow_converts_them(tiny_qwen: Path) -> None:
    judge, grey = loaded(tiny_qwen), pictures(1)[0].convert("L")
    np.testing.assert_array_equal(
        judge.score([grey], DIMENSIONS[:2]), judge.score([grey.convert("RGB")], DIMENSIONS[:2])
    )


@pytest.mark.parametrize("part", ["images", "pairs"])
def test_a_batch_that_does_not_fit_is_halved_and_nothing_is_lost(
    tiny_qwen: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    judge, images = loaded(tiny_qwen), pictures(4)
    expected = judge.score(images, DIMENSIONS)
    name = {"images": "_see", "pairs": "_answer"}[part]
    whole = getattr(VisionLanguageJudge, name)

    def short_of_memory(self: VisionLanguageJudge, items: Sequence[Any]) -> Any:
        if len(items) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return whole(self, items)

    monkeypatch.setattr(VisionLanguageJudge, name, short_of_memory)
    np.testing.assert_allclose(judge.score(images, DIMENSIONS), expected, atol=TIGHT)
    batch: MemoryBatch = getattr(judge, part)
    assert batch.size <= 2


def test_too_little_memory_for_one_question_says_so(tiny_qwen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: VisionLanguageJudge, items: Sequence[Any]) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(VisionLanguageJudge, "_answer", never)
    with pytest.raises(InfrastructureError, match=r"^the judge ran out of memory with questions one at a time"):
        loaded(tiny_qwen).score(pictures(1), DIMENSIONS)


def test_half_precision_stays_within_a_hundredth_whatever_the_batch(tiny_qwen: Path) -> None:
    settings = QwenSettings("bfloat16", "text-first", SMALL)
    images, judge = pictures(3), load_qwen_judge(tiny_qwen, device="cpu", settings=settings)
    assert judge.model.dtype == torch.bfloat16
    together = judge.score(images, DIMENSIONS)
    judge.images.size, judge.pairs.size = 1, 1
    alone = np.concatenate([judge.score([image], DIMENSIONS) for image in images])
    np.testing.assert_allclose(together, alone, atol=1e-2)
