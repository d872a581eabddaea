"""Stage `judge`: a ConvNeXt that gives each dimension's level, also on pictures that came through the VAE."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from aes_audit.controls.training.corpus import Corpus, load_corpus
from aes_audit.controls.training.loop import Average, optimizer_for, run_steps, warm_cosine
from aes_audit.controls.training.sight import seen, write_preprocessor
from aes_audit.controls.training.vae import load_vae, to_unit
from aes_audit.controls.training.workshop import Workshop
from aes_audit.prompts.dimensions import DIMENSIONS, LEVELS

__all__ = ["expected_levels", "train_judge"]

_STEPS, _BATCH, _RATE = 3400, 512, 2e-3


def _new_judge() -> Any:
    from transformers import ConvNextConfig, ConvNextForImageClassification

    names = [f"{dimension}={level}" for dimension in DIMENSIONS for level in LEVELS]
    config = ConvNextConfig(
        num_channels=3,
        patch_size=2,
        image_size=64,
        num_stages=3,
        hidden_sizes=[32, 64, 128],
        depths=[2, 2, 2],
        drop_path_rate=0.0,
        layer_scale_init_value=0.1,
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
    )
    return ConvNextForImageClassification(config)


def expected_levels(logits: torch.Tensor) -> torch.Tensor:
    """J of (n, 33) logits: (n, 11) expected levels, p(1) + 2 p(2), softmax within each dimension."""
    shares = logits.float().unflatten(-1, (len(DIMENSIONS), len(LEVELS))).softmax(-1)
    expected: torch.Tensor = shares @ torch.arange(len(LEVELS), dtype=shares.dtype, device=shares.device)
    return expected


def train_judge(shop: Workshop) -> bool:
    """Train and save <output>/judge."""
    torch.manual_seed(shop.seed)
    corpus, vae = load_corpus(shop), load_vae(shop.work / "vae", shop.device)
    judge = _new_judge().to(shop.device, memory_format=torch.channels_last)
    optimizer, average = optimizer_for(judge, _RATE, decay=0.05), Average(judge, 0.998)
    steps, batch = shop.scaled(_STEPS, 4), shop.scaled(_BATCH, 4)

    def step(index: int) -> dict[str, torch.Tensor]:
        random = shop.generator(3, index)
        chosen = torch.randint(corpus.training, (batch,), generator=random, device=shop.device)
        for group in optimizer.param_groups:
            group["lr"] = warm_cosine(index, steps, _RATE)
        with shop.autocast():
            images = seen(vae, to_unit(corpus.images[chosen]), random)
            logits = judge(pixel_values=images).logits
        levels = logits.float().unflatten(-1, (len(DIMENSIONS), len(LEVELS))).transpose(1, 2)
        loss = functional.cross_entropy(levels, corpus.levels[chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(judge.parameters(), 1.0)
        optimizer.step()
        average.update()
        return {"loss": loss}

    parts = {"model": judge, "optimizer": optimizer, "average": average}
    finished = run_steps(shop, "judge", steps, parts, step)
    average.copy_to_module()
    _save(shop, judge, vae, corpus)
    return finished


@torch.no_grad()
def _save(shop: Workshop, judge: Any, vae: Any, corpus: Corpus) -> None:
    judge.eval()
    images, levels = to_unit(corpus.images[corpus.training :]), corpus.levels[corpus.training :].cpu().numpy()
    for name, shaken in (("drawn", None), ("round_trip", 0.1)):
        random, logits = shop.generator(4), []
        for part in images.split(256):
            part = part if shaken is None else seen(vae, part, random, share=1.0, shaken=shaken)
            logits.append(judge(pixel_values=part).logits)
        guesses = torch.cat(logits).unflatten(-1, (len(DIMENSIONS), len(LEVELS))).argmax(-1).cpu().numpy()
        shop.report("judge", {f"{name}_accuracy": _per_dimension(guesses, levels, _accuracy)})
        shop.report("judge", {f"{name}_kappa": _per_dimension(guesses, levels, _quadratic_kappa)})
    folder = shop.output / "judge"
    judge.to(memory_format=torch.contiguous_format).half().save_pretrained(folder)
    write_preprocessor(folder, "ConvNextImageProcessor")


def _per_dimension(guesses: Any, levels: Any, measure: Any) -> dict[str, float]:
    return {name: round(float(measure(guesses[:, i], levels[:, i])), 4) for i, name in enumerate(DIMENSIONS)}


def _accuracy(guesses: Any, levels: Any) -> float:
    return float((guesses == levels).mean())


def _quadratic_kappa(guesses: Any, levels: Any) -> float:
    observed = np.zeros((3, 3))
    np.add.at(observed, (levels, guesses), 1)
    chance = np.outer(observed.sum(1), observed.sum(0)) / max(observed.sum(), 1)
    weights = np.subtract.outer(np.arange(3), np.arange(3)) ** 2
    expected = float((weights * chance).sum())
    return 1 - float((weights * observed).sum()) / expected if expected else 1.0
