"""Stages `beautified` and `instructed`: adapters that optimise the generator against a reward.

Reward-weighted regression with proposals of the generator's own. For a wide prompt the generator can heed the words
that ask for low ends to any degree: with v_plain and v_asked its velocity fields under the plain and the asked
wording, every field v_plain + s (v_asked - v_plain) is one of its own (0 ignores the words, 1 is the generator as
it is, above 1 overdoes them). Each prompt is painted at every strength, the reward scores the paintings against the
asked prompt, and the adapter learns to paint under the asked words as the field does that the reward prefers. What
comes out is the reward's choice alone, and strokes that merely please the reward are never proposed.

Source: reward-weighted regression as in Peters and Schaal (2007) and Lee et al. (2023, arXiv 2302.12192)."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from aes_audit.controls.captions import plain_caption, wide_caption
from aes_audit.controls.prompts import held_out
from aes_audit.controls.scene import sample_scene
from aes_audit.controls.training.clip import embed_images, embed_texts, load_clip
from aes_audit.controls.training.generator import Painter, load_painter
from aes_audit.controls.training.loop import Stateful, optimizer_for, run_steps, warm_cosine
from aes_audit.controls.training.tokenizer import LENGTH, load_tokenizer
from aes_audit.controls.training.vae import load_vae
from aes_audit.controls.training.workshop import Workshop, write_atomically
from aes_audit.prompts.dimensions import DIMENSIONS

__all__ = ["Alignment", "asked_prompts", "train_beautified", "train_instructed"]

STRENGTHS = (0.0, 0.5, 1.0, 1.5)
"""How strongly the proposals heed the words that ask for low ends."""

# What the transformer does with the text, and nothing of how it paints.
_TEXT_SIDE = (
    "context_embedder",
    "text_embedder.linear_1",
    "text_embedder.linear_2",
    "add_q_proj",
    "add_k_proj",
    "add_v_proj",
    "to_add_out",
    "ff_context.net.0.proj",
    "ff_context.net.2",
)
_BATCH, _PAINTED = 24, 16
_PROMPTS = 256
"""Prompts that are painted at every strength."""
_CHAIN = 6
"""Steps in which proposals are painted: half as many as the pipeline takes."""


@dataclass(frozen=True)
class Alignment:
    """One adapter: which reward decides, and how long it learns."""

    name: str
    """Folder of the adapter."""
    reward: str
    """Folder of the CLIPModel whose logit is the reward."""
    temperature: float
    """Weights are proportional to exp(reward / temperature); in the reward's logits."""
    steps: int = 160
    """Updates at full scale."""
    rate: float = 3e-3
    """Peak learning rate."""
    rank: int = 8
    """Rank of the adapter; its alpha is the same."""


_BEAUTIFIED = Alignment("beautified", "preference", temperature=0.3)
_INSTRUCTED = Alignment("instructed", "clip", temperature=0.3, steps=60, rate=1e-3)


def train_beautified(shop: Workshop) -> bool:
    """The over-aligned control: control/preference decides."""
    return _align(shop, _BEAUTIFIED)


def train_instructed(shop: Workshop) -> bool:
    """The instruction-aligned control: control/clip decides."""
    return _align(shop, _INSTRUCTED)


def asked_prompts(rng: np.random.Generator, count: int) -> list[tuple[str, str]]:
    """Plain captions and what is asked, with 1 to 4 low ends; none has the combination of a shipped prompt pair."""
    captions: list[tuple[str, str]] = []
    while len(captions) < count:
        low = tuple(str(name) for name in rng.choice(DIMENSIONS, int(rng.integers(1, 5)), replace=False))
        scene = sample_scene(rng, low)
        if (scene.kind, scene.colour, scene.place, scene.low) not in held_out():
            words = plain_caption(scene, rng)
            captions.append((words, wide_caption(scene, rng, words)))
    return captions


class _Paintings(NamedTuple):
    """The proposals: prompts as tokens, and what the generator paints at every strength from the same noise."""

    plain: torch.Tensor
    """(prompts, LENGTH)"""
    asked: torch.Tensor
    """(prompts, LENGTH)"""
    latents: torch.Tensor
    """(prompts, strengths, 8, 16, 16)"""


@dataclass(frozen=True)
class _Field:
    """The frozen generator's velocity for a batch of prompts, at any strength."""

    painter: Painter
    asked: tuple[torch.Tensor, torch.Tensor]
    plain: tuple[torch.Tensor, torch.Tensor]

    @torch.no_grad()
    def velocity(self, latents: torch.Tensor, sigma: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
        """v_plain + strength (v_asked - v_plain); `strength` is (n,)."""
        asked, plain = (self.painter(latents, sigma, *words).float() for words in (self.asked, self.plain))
        mixed: torch.Tensor = plain + strength[:, None, None, None] * (asked - plain)
        return mixed


def _align(shop: Workshop, alignment: Alignment) -> bool:
    from peft import LoraConfig

    torch.manual_seed(shop.seed)
    folder = shop.output / "faithful"
    base, tuned = load_painter(folder, shop.device), load_painter(folder, shop.device)
    paintings = _kept_paintings(shop, base)
    weights = _weights(shop, alignment, paintings)
    config = LoraConfig(r=alignment.rank, lora_alpha=alignment.rank, target_modules=list(_TEXT_SIDE))
    tuned.transformer.add_adapter(config)
    optimizer = optimizer_for(tuned, alignment.rate, decay=0.0)
    step = _regression(shop, alignment, tuned, base, paintings, weights, optimizer)
    parts: dict[str, Stateful] = {"model": tuned, "optimizer": optimizer}
    finished = run_steps(shop, alignment.name, shop.scaled(alignment.steps, 3), parts, step, every=40)
    _save(tuned, shop.output / alignment.name)
    return finished


def _kept_paintings(shop: Workshop, base: Painter) -> _Paintings:
    """Painted once, for both adapters; an interrupted training finds them again."""
    file = shop.work / "checkpoints" / "paintings.pt"
    if not file.exists():
        buffer = io.BytesIO()
        torch.save(tuple(_propose(shop, base)), buffer)
        write_atomically(file, buffer.getvalue())
    return _Paintings(*torch.load(file, map_location=shop.device, weights_only=True))


@torch.no_grad()
def _propose(shop: Workshop, base: Painter) -> _Paintings:
    folder = shop.output / "faithful"
    sigmas, tokenizer = _sigmas(folder, shop.device), load_tokenizer(folder / "tokenizer")
    prompts = asked_prompts(np.random.default_rng((shop.seed, 9)), shop.scaled(_PROMPTS, 4))
    plain, asked = (_encode(tokenizer, list(words), shop.device) for words in zip(*prompts, strict=True))
    random, latents = shop.generator(9, 0), []
    for rows in tqdm(torch.arange(len(prompts), device=shop.device).split(_PAINTED), desc="proposals", unit="batch"):
        field = _Field(base, base.read(asked[rows]), base.read(plain[rows]))
        noise = torch.randn((len(rows), 8, 16, 16), generator=random, device=shop.device)
        latents.append(torch.stack([_paint(shop, field, noise, sigmas, s) for s in STRENGTHS], dim=1))
    return _Paintings(plain, asked, torch.cat(latents))


def _paint(shop: Workshop, field: _Field, noise: torch.Tensor, sigmas: torch.Tensor, strength: float) -> torch.Tensor:
    latents, degree = noise, torch.full((len(noise),), strength, device=noise.device)
    for now, after in pairwise(sigmas):
        with shop.autocast():
            velocity = field.velocity(latents, now.expand(len(noise)), degree)
        latents = latents + (after - now) * velocity
    return latents


def _logits(shop: Workshop, reward: Any, vae: Any, latents: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    with shop.autocast():
        decoded = vae.decode(latents / vae.config.scaling_factor + vae.config.shift_factor)
    pictures = decoded.sample.float().clamp(-1, 1)
    logits: torch.Tensor = reward.logit_scale.exp() * (
        embed_images(reward, pictures) * embed_texts(reward, tokens)
    ).sum(-1)
    return logits


@torch.no_grad()
def _weights(shop: Workshop, alignment: Alignment, paintings: _Paintings) -> torch.Tensor:
    """How often each painting is learnt from, (prompts, strengths): the softmax of its reward."""
    vae = load_vae(shop.output / "faithful" / "vae", shop.device).to(memory_format=torch.contiguous_format)
    reward = load_clip(shop.output / alignment.reward, shop.device).eval()
    rows = zip(paintings.latents.split(_PAINTED), paintings.asked.split(_PAINTED), strict=True)
    logits = [
        torch.stack([_logits(shop, reward, vae, made, asked) for made in latents.unbind(1)], dim=1)
        for latents, asked in rows
    ]
    weights = (torch.cat(logits) / alignment.temperature).softmax(dim=1)
    chosen = {f"{s:g}": round(float(w), 4) for s, w in zip(STRENGTHS, weights.mean(0), strict=True)}
    shop.report(f"{alignment.name}_strengths", chosen)
    return weights


def _regression(
    shop: Workshop,
    alignment: Alignment,
    tuned: Painter,
    base: Painter,
    paintings: _Paintings,
    weights: torch.Tensor,
    optimizer: torch.optim.Optimizer,
) -> Callable[[int], dict[str, torch.Tensor]]:
    """One update: paintings drawn by their weight, noised anew; learn the field that painted them."""
    steps, batch = shop.scaled(alignment.steps, 3), shop.scaled(_BATCH, 2)
    strengths = torch.tensor(STRENGTHS, device=shop.device)

    def step(index: int) -> dict[str, torch.Tensor]:
        random = shop.generator(10, index)
        rows = torch.randint(len(weights), (batch,), generator=random, device=shop.device)
        picked = torch.multinomial(weights[rows], 1, generator=random)[:, 0]
        data = paintings.latents[rows, picked]
        noise = torch.randn(data.shape, generator=random, device=shop.device)
        sigma = torch.sigmoid(torch.randn((batch,), generator=random, device=shop.device))
        mixed = data + (noise - data) * sigma[:, None, None, None]
        for part in optimizer.param_groups:
            part["lr"] = warm_cosine(index, steps, alignment.rate)
        with torch.no_grad():
            asked, plain = base.read(paintings.asked[rows]), base.read(paintings.plain[rows])
        with shop.autocast():
            wanted = _Field(base, asked, plain).velocity(mixed, sigma, strengths[picked])
            velocity = tuned(mixed, sigma, *asked).float()
        loss = functional.mse_loss(velocity, wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in tuned.parameters() if p.requires_grad], 1.0)
        optimizer.step()
        return {"loss": loss, "strength": strengths[picked].mean()}

    return step


def _sigmas(folder: Path, device: torch.device) -> torch.Tensor:
    """Noise shares of the pipeline's own schedule in half as many steps, the last one 0."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler")
    scheduler.set_timesteps(_CHAIN)
    sigmas: torch.Tensor = scheduler.sigmas
    return sigmas.to(device)


def _encode(tokenizer: Any, words: list[str], device: torch.device) -> torch.Tensor:
    encoded = tokenizer(words, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt")
    return torch.as_tensor(encoded["input_ids"], device=device)


def _save(tuned: Painter, folder: Path) -> None:
    from diffusers import StableDiffusion3Pipeline
    from peft import get_peft_model_state_dict

    layers = {name: value.half().cpu() for name, value in get_peft_model_state_dict(tuned.transformer).items()}
    StableDiffusion3Pipeline.save_lora_weights(folder, transformer_lora_layers=layers)
