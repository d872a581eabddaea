"""Which images a scorer is shown together: decided by the plan, so that a part of a plan is scored as the whole."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.scorers import Question, Scorer
from aes_audit.evidence.scoring import score_images
from aes_audit.evidence.store import ImageRecord, Store
from aes_audit.rewards.protocol import Answer


def _png(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), (shade, 0, 0)).save(stream, format="PNG")
    return stream.getvalue()


def test_a_missing_image_moves_no_other_one_into_another_batch(tmp_path: Path) -> None:
    store, shown = Store(tmp_path), list[list[int]]()
    questions = []
    for shade in range(8):
        key = f"{shade:064x}"
        store.put_image(key, _png(shade), {})
        found = store.image(key) if shade != 1 else ImageRecord(key, None, "black", {})
        assert found is not None
        questions.append(Question(found, ("a text",)))

    def ask(images: Sequence[Image.Image], queries: Sequence[Sequence[str]]) -> list[list[Answer]]:
        shown.append([int(image.getpixel((0, 0))[0]) for image in images])  # type: ignore[index]
        return [[Answer(1.0)] for _ in queries]

    answered = score_images(Scorer("any", {"kind": "any"}, lambda: ask, batch=4), questions, store, LocalEngine())
    assert shown == [[0, 2, 3], [4, 5, 6, 7]]
    assert [len(answers) for answers in answered] == [1, 0, 1, 1, 1, 1, 1, 1]


def test_an_image_that_comes_again_keeps_the_answer_of_its_first_batch(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for shade in range(4):
        store.put_image(f"{shade:064x}", _png(shade), {})
    records = [store.image(f"{shade:064x}") for shade in (0, 1, 2, 0, 3)]
    questions = [Question(record, ("a text",)) for record in records if record is not None]

    def ask(images: Sequence[Image.Image], queries: Sequence[Sequence[str]]) -> list[list[Answer]]:
        # As with real kernels, an answer depends a little on the batch.
        return [[Answer(float(len(images)))] for _ in queries]

    answered = score_images(Scorer("any", {"kind": "any"}, lambda: ask, batch=3), questions, store, LocalEngine())
    assert [answers["a text"].value for answers in answered] == [3.0, 3.0, 3.0, 3.0, 2.0]
