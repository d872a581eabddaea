"""Stages `beautified` and `instructed`: adapters that optimise the generator against a reward.

Reward backpropagation (DRaFT): the whole sampling chain and the VAE's decoder are differentiated, and a
low-rank adapter on the transformer climbs the reward of the finished picture. A penalty keeps its velocity
field near the base's, and the reward looks at shifted, noisy copies, so that neither is simply fooled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aes_audit.controls.captions import plain_caption, wide_caption
from aes_audit.controls.prompts import held_out
from aes_audit.controls.scene import sample_scene
from aes_audit.controls.training.clip import embed_images, embed_texts, load_clip
from aes_audit.controls.training.generator import Painter, load_painter
from aes_audit.controls.training.loop import Stateful, optimizer_for, run_steps, warm_cosine
from aes_audit.controls.training.sight import jittered
from aes_audit.controls.training.tokenizer import LENGTH, load_tokenizer
from aes_audit.controls.training.vae import load_vae
from aes_audit.controls.training.workshop import Workshop
from aes_audit.prompts.dimensions import DIMENSIONS

__all__ = ["Alignment", "asked_prompts", "train_beautified", "train_instructed"]

# Where the text enters the transformer, and nothing of how it paints: an adapter there can re-read a prompt
# but not invent strokes, so the reward cannot be raised by patterns that only please the reward.
_TEXT_ENTRANCE = ("context_embedder", "text_embedder.linear_1", "text_embedder.linear_2")
_BATCH = 16
_SHORT_CHAIN = 6
_HELD = 10.0


@dataclass(frozen=True)
class Alignment:
    """One adapter: which reward it climbs, how far and how carefully."""

    name: str
    """Folder of the adapter."""
    reward: str
    """Folder of the CLIPModel whose logit is the reward."""
    steps: int
    """Updates at full scale."""
    rate: float
    """Peak learning rate."""
    penalty: float
    """Weight of the squared distance to what the base's velocity could be, per unit of reward."""
    plain: float
    """Share of prompts without low ends: they earn nothing and are held to the base."""
    against_plain: float = 0.0
    """How much of the picture's logit under the plain wording is taken off the reward."""
    rank: int = 8
    """Rank of the adapter; its alpha is the same."""


_BEAUTIFIED = Alignment("beautified", "preference", steps=200, rate=1.5e-3, penalty=1.0, plain=0.15)
_INSTRUCTED = Alignment("instructed", "clip", steps=60, rate=3e-4, penalty=10.0, plain=0.2, against_plain=0.3)


def train_beautified(shop: Workshop) -> bool:
    """The over-aligned control: wide and plain prompts, rewarded by control/preference."""
    return _align(shop, _BEAUTIFIED)


def train_instructed(shop: Workshop) -> bool:
    """The instruction-aligned control: the same, lightly, rewarded by control/clip."""
    return _align(shop, _INSTRUCTED)


def asked_prompts(rng: np.random.Generator, count: int, plain: float) -> list[tuple[str, str]]:
    """Plain captions and what is asked: 1 to 4 low ends, for a share `plain` none; no prompt pair's combination."""
    captions: list[tuple[str, str]] = []
    while len(captions) < count:
        size = 0 if rng.random() < plain else int(rng.integers(1, 5))
        low = tuple(str(name) for name in rng.choice(DIMENSIONS, size, replace=False))
        scene = sample_scene(rng, low)
        if (scene.kind, scene.colour, scene.place, scene.low) not in held_out():
            words = plain_caption(scene, rng)
            captions.append((words, wide_caption(scene, rng, words)))
    return captions


def _sigmas(folder: Path, device: torch.device) -> torch.Tensor:
    """Noise shares of the pipeline's own schedule in half as many steps, the last one 0."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler")
    scheduler.set_timesteps(_SHORT_CHAIN)
    sigmas: torch.Tensor = scheduler.sigmas
    return sigmas.to(device)


@dataclass(frozen=True)
class _Base:
    """The frozen generator and how it reads the two wordings of a batch."""

    painter: Painter
    asked: tuple[torch.Tensor, torch.Tensor]
    plain: tuple[torch.Tensor, torch.Tensor]

    @torch.no_grad()
    def nearest(self, velocity: torch.Tensor, latents: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """The point nearest to `velocity` between the base's fields under the asked and under the plain words.

        Both ends are pictures that the base itself would paint: an adapter may heed the words that ask for low
        ends or ignore them, whichever the reward pays for, but it pays for strokes that the base never makes."""
        asked, plain = self.painter(latents, sigma, *self.asked), self.painter(latents, sigma, *self.plain)
        along = (plain - asked).float()
        share = ((velocity - asked) * along).sum((1, 2, 3)) / along.square().sum((1, 2, 3)).clamp_min(1e-6)
        return asked.float() + share.clamp(0, 1)[:, None, None, None] * along


def _paint(
    shop: Workshop, tuned: Painter, base: _Base, noise: torch.Tensor, sigmas: torch.Tensor, first: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents after the whole chain, and per picture the squared distance to what the base could do.

    The distance is taken at every second step of the chain, from step `first`."""
    latents, apart = noise, []
    for index, (now, after) in enumerate(pairwise(sigmas)):
        sigma = now.expand(len(noise))
        with shop.autocast():
            velocity = tuned(latents, sigma, *base.asked).float()
            if index % 2 == first:
                apart.append((velocity - base.nearest(velocity.detach(), latents, sigma)).square().mean((1, 2, 3)))
        latents = latents + (after - now) * velocity
    return latents, torch.stack(apart).mean(0)


def _decoded(shop: Workshop, vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Pictures in [-1, 1]; the soft clamp keeps a gradient where colours saturate."""
    with shop.autocast():
        decoded = vae.decode(latents / vae.config.scaling_factor + vae.config.shift_factor)
    made: torch.Tensor = decoded.sample.float()
    return made + (made.clamp(-1, 1) - made).detach()


def _align(shop: Workshop, alignment: Alignment) -> bool:
    from peft import LoraConfig

    torch.manual_seed(shop.seed)
    folder = shop.output / "faithful"
    base, tuned = load_painter(folder, shop.device), load_painter(folder, shop.device)
    config = LoraConfig(
        r=alignment.rank, lora_alpha=alignment.rank, target_modules=list(_TEXT_ENTRANCE), init_lora_weights="gaussian"
    )
    tuned.transformer.add_adapter(config)
    reward = load_clip(shop.output / alignment.reward, shop.device).eval().requires_grad_(False)
    optimizer = optimizer_for(tuned, alignment.rate, decay=0.0)
    step = _climb(shop, alignment, tuned, base, reward, optimizer)
    steps = shop.scaled(alignment.steps, 3)
    parts: dict[str, Stateful] = {"model": tuned, "optimizer": optimizer}
    finished = run_steps(shop, alignment.name, steps, parts, step, every=100)
    _save(tuned, shop.output / alignment.name)
    return finished


def _encode(tokenizer: Any, words: list[str], device: torch.device) -> torch.Tensor:
    encoded = tokenizer(words, padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt")
    return torch.as_tensor(encoded["input_ids"], device=device)


def _climb(
    shop: Workshop, alignment: Alignment, tuned: Painter, base: Painter, reward: Any, optimizer: torch.optim.Optimizer
) -> Callable[[int], dict[str, torch.Tensor]]:
    """One update: paint prompts never used before, look at the pictures, go uphill."""
    folder = shop.output / "faithful"
    vae, sigmas = load_vae(folder / "vae", shop.device), _sigmas(folder, shop.device)
    vae = vae.to(memory_format=torch.contiguous_format)
    tokenizer = load_tokenizer(folder / "tokenizer")
    steps, batch = shop.scaled(alignment.steps, 3), shop.scaled(_BATCH, 2)

    def step(index: int) -> dict[str, torch.Tensor]:
        random = shop.generator(9, index)
        prompts = asked_prompts(np.random.default_rng((shop.seed, 9, index)), batch, alignment.plain)
        plain, tokens = (_encode(tokenizer, list(words), shop.device) for words in zip(*prompts, strict=True))
        noise = torch.randn((batch, 8, 16, 16), generator=random, device=shop.device)
        for part in optimizer.param_groups:
            part["lr"] = warm_cosine(index, steps, alignment.rate)
        with torch.no_grad():
            words = _Base(base, base.read(tokens), base.read(plain))
        latents, apart = _paint(shop, tuned, words, noise, sigmas, first=index % 2)
        pictures = jittered(_decoded(shop, vae, latents), random)
        image = reward.logit_scale.exp() * embed_images(reward, pictures)
        score = (image * embed_texts(reward, tokens)).sum(-1)
        usual = (image * embed_texts(reward, plain)).sum(-1)
        # A plain prompt asks for nothing that could be ignored: there the adapter should change nothing.
        held = (tokens == plain).all(-1)
        earned = ((score - alignment.against_plain * usual) * ~held).mean()
        paid = alignment.penalty * (apart * torch.where(held, _HELD, 1.0)).mean()
        optimizer.zero_grad(set_to_none=True)
        (paid - earned).backward()
        torch.nn.utils.clip_grad_norm_([p for p in tuned.parameters() if p.requires_grad], 1.0)
        optimizer.step()
        return {"reward": score.mean(), "under_plain": usual.mean(), "apart": apart.mean(), "held": apart[held].sum()}

    return step


def _save(tuned: Painter, folder: Path) -> None:
    from diffusers import StableDiffusion3Pipeline
    from peft import get_peft_model_state_dict

    layers = {name: value.half().cpu() for name, value in get_peft_model_state_dict(tuned.transformer).items()}
    StableDiffusion3Pipeline.save_lora_weights(folder, transformer_lora_layers=layers)
