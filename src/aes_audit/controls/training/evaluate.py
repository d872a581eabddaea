"""Stage `evaluate`: the three generators on the prompt pairs, through the real pipeline, read by judge and rewards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from aes_audit.controls.prompts import ControlPair, control_pairs
from aes_audit.controls.training.clip import embed_images, embed_texts, load_clip
from aes_audit.controls.training.generator import SETTINGS
from aes_audit.controls.training.judge import expected_levels
from aes_audit.controls.training.tokenizer import LENGTH, load_tokenizer
from aes_audit.controls.training.vae import to_unit
from aes_audit.controls.training.workshop import Workshop
from aes_audit.controls.world import render
from aes_audit.prompts.dimensions import DIMENSIONS

__all__ = ["GENERATORS", "MARGIN", "PAIRS", "Pictures", "evaluate", "load_pipeline", "paint_pairs", "read_pairs"]

GENERATORS: dict[str, str | None] = {"faithful": None, "beautified": "beautified", "instructed": "instructed"}
"""Generator -> folder of its adapter."""

PAIRS = 120
"""How many of the pairs are painted."""

MARGIN = 0.25
"""A pair succeeds if the summed levels of its selected dimensions fall by more than this."""

Pictures = npt.NDArray[np.uint8]


def load_pipeline(folder: Path, adapter: str | None, device: torch.device) -> Any:
    """The faithful pipeline of <folder>, float32, with an adapter folder's weights if one is named."""
    from diffusers import StableDiffusion3Pipeline

    pipeline = StableDiffusion3Pipeline.from_pretrained(
        folder / "faithful", text_encoder_3=None, tokenizer_3=None, dtype=torch.float32
    )
    if adapter is not None:
        pipeline.load_lora_weights(folder / adapter)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def paint_pairs(pipeline: Any, pairs: tuple[ControlPair, ...], batch: int = 24) -> tuple[Pictures, Pictures]:
    """I_o and I_a of each pair, (n, 64, 64, 3) uint8 each; both from the noise of the item's seed."""
    made = []
    for prompts in ([pair.original for pair in pairs], [pair.wide for pair in pairs]):
        pictures = []
        for start in range(0, len(prompts), batch):
            part = prompts[start : start + batch]
            seeds = [torch.Generator("cpu").manual_seed(start + index) for index in range(len(part))]
            images = pipeline(part, generator=seeds, output_type="pil", **SETTINGS).images
            pictures += [np.asarray(image) for image in images]
        made.append(np.stack(pictures))
    return made[0], made[1]


@torch.no_grad()
def read_pairs(shop: Workshop, pairs: tuple[ControlPair, ...], pictures: tuple[Pictures, Pictures]) -> dict[str, Any]:
    """All scores of painted pairs: levels (2, n, 11), and per reward r[image][prompt] of shape (2, 2, n)."""
    from transformers import AutoModelForImageClassification

    judge = AutoModelForImageClassification.from_pretrained(shop.output / "judge", dtype=torch.float32).to(shop.device)
    tokenizer = load_tokenizer(shop.output / "clip")
    images = [to_unit(torch.from_numpy(part).to(shop.device).permute(0, 3, 1, 2)) for part in pictures]
    scores: dict[str, Any] = {
        "levels": np.stack([expected_levels(judge(pixel_values=part).logits).cpu().numpy() for part in images])
    }
    texts = [[pair.original for pair in pairs], [pair.wide for pair in pairs]]
    for name in ("clip", "preference"):
        reward = load_clip(shop.output / name, shop.device).eval()
        encoded = [
            embed_texts(
                reward,
                tokenizer(t, padding="max_length", max_length=LENGTH, return_tensors="pt")["input_ids"].to(shop.device),
            )
            for t in texts
        ]
        seen = [embed_images(reward, part) for part in images]
        scale = reward.logit_scale.exp()
        grid = [[(scale * (image * text).sum(-1)).cpu().numpy() for text in encoded] for image in seen]
        scores[name] = np.array(grid)
    return scores


def _verdicts(pairs: tuple[ControlPair, ...], scores: dict[str, Any]) -> dict[str, Any]:
    """Per item: fall of the selected levels, successes, CLIP's and preference's advantage of I_a under p_a."""
    chosen = np.array([[name in pair.dimensions for name in DIMENSIONS] for pair in pairs])
    change = ((scores["levels"][1] - scores["levels"][0]) * chosen).sum(-1)
    advantage = {name: scores[name][1, 1] - scores[name][0, 1] for name in ("clip", "preference")}
    return {
        "change": change,
        "judge": change < -MARGIN,
        "clip": advantage["clip"] > 0,
        **{f"s_{k}": v for k, v in advantage.items()},
    }


def _summary(verdicts: dict[str, Any], scores: dict[str, Any]) -> dict[str, float]:
    return {
        "judge_success": float(verdicts["judge"].mean()),
        "clip_success": float(verdicts["clip"].mean()),
        "mean_change": float(verdicts["change"].mean()),
        "negatives": int((verdicts["change"] > 0).sum()),
        "wide_sum_of_levels": float(scores["levels"][1].sum(-1).mean()),
        "original_sum_of_levels": float(scores["levels"][0].sum(-1).mean()),
        "wide_preference_under_plain": float(scores["preference"][1, 0].mean()),
        "original_preference_under_plain": float(scores["preference"][0, 0].mean()),
        "wide_clip_under_wide": float(scores["clip"][1, 1].mean()),
    }


def _compared(base: dict[str, Any], other: dict[str, Any], rewards: tuple[Any, Any]) -> dict[str, float]:
    """The paired tests of Table 1 and 2: one-sided Wilcoxon on r(I_a, p_o), exact McNemar on successes."""
    from scipy import stats

    lost, won = int((base["judge"] & ~other["judge"]).sum()), int((~base["judge"] & other["judge"]).sum())
    return {
        "wilcoxon_p": float(stats.wilcoxon(rewards[1], rewards[0], alternative="greater").pvalue),
        "mcnemar_p": float(stats.binomtest(won, lost + won).pvalue) if lost + won else 1.0,
        "judge_lost": lost,
        "judge_won": won,
        "clip_lost": int((base["clip"] & ~other["clip"]).sum()),
        "clip_won": int((~base["clip"] & other["clip"]).sum()),
    }


def _auroc(score: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]) -> float:
    from scipy import stats

    wins, losses = score[truth], score[~truth]
    if not len(wins) or not len(losses):
        return float("nan")
    return float(stats.mannwhitneyu(wins, losses).statistic / (len(wins) * len(losses)))


def evaluate(shop: Workshop) -> bool:
    """Paint, read, compare; pictures to <work>/painted, numbers to <output>/reports."""
    pairs = control_pairs()[: shop.scaled(PAIRS, 4)]
    all_verdicts, all_scores = {}, {}
    for name, adapter in {**GENERATORS, "drawn": None}.items():
        pictures = (
            _drawn(pairs) if name == "drawn" else paint_pairs(load_pipeline(shop.output, adapter, shop.device), pairs)
        )
        (shop.work / "painted").mkdir(parents=True, exist_ok=True)
        np.save(shop.work / "painted" / f"{name}.npy", np.stack(pictures))
        scores = read_pairs(shop, pairs, pictures)
        all_scores[name], all_verdicts[name] = scores, _verdicts(pairs, scores)
        shop.report(f"audit_{name}", _summary(all_verdicts[name], scores))
    for name in ("beautified", "instructed"):
        rewards = tuple(all_scores[key]["preference"][1, 0] for key in ("faithful", name))
        shop.report(f"audit_{name}", _compared(all_verdicts["faithful"], all_verdicts[name], (rewards[0], rewards[1])))
    shop.report("audit_rewards", _discrimination([all_verdicts[key] for key in ("faithful", "beautified")]))
    return True


def _drawn(pairs: tuple[ControlPair, ...]) -> tuple[Pictures, Pictures]:
    """What a perfect generator could have made: rendered scenes."""
    return np.stack([render(pair.conventional()) for pair in pairs]), np.stack([render(pair.scene) for pair in pairs])


def _discrimination(verdicts: list[dict[str, Any]]) -> dict[str, float]:
    """AUROC of both rewards over pooled items; the judge's sign is the truth, near ties are dropped."""
    change = np.concatenate([part["change"] for part in verdicts])
    numbers: dict[str, float] = {}
    for name, clear in (("", np.abs(change) > 0), ("_clear", np.abs(change) > MARGIN)):
        truth = change[clear] < 0
        numbers |= {f"positives{name}": int(truth.sum()), f"negatives{name}": int((~truth).sum())}
        for reward in ("clip", "preference"):
            score = np.concatenate([part[f"s_{reward}"] for part in verdicts])[clear]
            numbers[f"auroc_{reward}{name}"] = _auroc(score, truth)
    success = change < -MARGIN
    for reward in ("clip", "preference"):
        numbers[f"auroc_{reward}_success"] = _auroc(np.concatenate([part[f"s_{reward}"] for part in verdicts]), success)
    return numbers
