"""Print how long a vision-language judge takes per image, against asking the stock model one question at a time.

    python benchmarks/judge.py [--size tiny|medium|full] [--images 4] [--repeats 3] [--device cpu] [--threads N]
                               [--clock wall|cpu]

"plain" is the loop of the published code at batch 1: for each of the 11 dimensions the image is prepared, seen and read
anew, and logits are made of every token. Ours is timed in both orders of question and image (docs/judge.md), with the
questions already read, as they are after a run's first images. All are timed in turn in one run on the same images of
512 x 512 pixels; medians per image are printed, with what they agree to.
Weights are random. `medium` has a hundredth of the weights of the published judge, in its proportions; `full` has its
shape. `--clock cpu` counts processor time instead of time: give it with --threads 1 where others use the machine too.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import Qwen3VLForConditionalGeneration

from aes_audit.device import default_dtype
from aes_audit.judges.guideline import question
from aes_audit.judges.spec import ORDERS
from aes_audit.judges.vision_language import QwenSettings, load_qwen_judge
from aes_audit.judges.vision_language_judge import VisionLanguageJudge
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.weights.loading import quiet_libraries

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from judges.tiny_qwen3_vl import SHAPES, save_tiny_qwen3_vl

__all__ = ["main"]


def main() -> None:
    """Build a judge of random weights, time it, print the table."""
    asked = _arguments()
    torch.set_num_threads(asked.threads)
    settings = QwenSettings(default_dtype(asked.device))
    images = [_picture(seed) for seed in range(asked.images)]
    with tempfile.TemporaryDirectory() as room, quiet_libraries():
        folder = save_tiny_qwen3_vl(Path(room), dtype=getattr(torch, settings.dtype), **SHAPES[asked.size])
        stock: Any = Qwen3VLForConditionalGeneration.from_pretrained(folder, dtype=getattr(torch, settings.dtype))
        judge = load_qwen_judge(folder, device=asked.device, settings=settings)
        ours = {order: replace(judge, order=order) for order in ORDERS}
        millions = sum(weight.numel() for weight in stock.parameters()) / 1e6
        print(f"{asked.size}: {millions:.1f} million weights, {settings.dtype} on {asked.device}")
        _table(asked, images, ours, _Plain(stock.eval().to(asked.device), judge))


def _table(
    asked: argparse.Namespace, images: list[Image.Image], ours: dict[str, VisionLanguageJudge], plain: _Plain
) -> None:
    loops: dict[str, Callable[[], NDArray[np.float64]]] = {"plain": lambda: plain.probabilities(images)}
    for order, judge in ours.items():
        judge.score(images[:1], DIMENSIONS)
        loops[order] = lambda judge=judge: judge.probabilities(images, DIMENSIONS)  # type: ignore[misc]
    clock = time.process_time if asked.clock == "cpu" else time.perf_counter
    took: dict[str, list[float]] = {name: [] for name in loops}
    found: dict[str, NDArray[np.float64]] = {}
    for _ in range(asked.repeats):
        for name, loop in loops.items():
            start = clock()
            found[name] = loop()
            took[name].append((clock() - start) / len(images))
    base = median(took["plain"])
    for name, seconds in took.items():
        print(f"  {name:<12} {median(seconds):9.4f} s per image   {base / median(seconds):5.2f} x")
    off = np.abs(found["plain"] - found[ORDERS[0]]).max()
    print(f"  probabilities of plain and {ORDERS[0]} differ by up to {off:.1e}")


class _Plain:
    """The stock model, one question at a time."""

    def __init__(self, model: Any, judge: VisionLanguageJudge) -> None:
        """`judge` prepares images and questions."""
        self.model, self.judge = model, judge

    def probabilities(self, images: list[Image.Image]) -> NDArray[np.float64]:
        """(images, 11, 3)."""
        with torch.inference_mode():
            rows = [torch.stack([self._answer(image, name) for name in DIMENSIONS]) for image in images]
        result: NDArray[np.float64] = torch.stack(rows).softmax(dim=-1).numpy()
        return result

    def _answer(self, image: Image.Image, dimension: str) -> torch.Tensor:
        judge, device = self.judge, self.model.device
        values, rows, columns = judge.recipe.patches(image)
        before, behind = judge.conversation.around_image(question(dimension, judge.guideline), ORDERS[0])
        ids = torch.tensor([[*before, *[judge.conversation.image_id] * judge.recipe.tokens, *behind]], device=device)
        inputs: dict[str, Any] = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "mm_token_type_ids": (ids == judge.conversation.image_id).int(),
            "pixel_values": values.to(device),
            "image_grid_thw": torch.tensor([[1, rows, columns]], device=device),
        }
        logits: torch.Tensor = self.model(**inputs).logits[0, -1, list(judge.conversation.digits)]
        return logits.double().cpu()


def _picture(seed: int) -> Image.Image:
    rough = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    return Image.fromarray(rough).resize((512, 512), Image.Resampling.BICUBIC)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", choices=sorted(SHAPES), default="tiny")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", choices=["cpu", "cuda", "mps"], default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    return parser.parse_args()


if __name__ == "__main__":
    main()
