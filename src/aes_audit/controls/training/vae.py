"""Stage `vae`: an AutoencoderKL that turns 64x64 pixels into 16x16 latents of eight channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from aes_audit.controls.training.corpus import Corpus, load_corpus
from aes_audit.controls.training.loop import optimizer_for, run_steps, warm_cosine
from aes_audit.controls.training.workshop import Workshop

__all__ = ["encode_corpus", "load_vae", "round_trip", "to_pixels", "to_unit", "train_vae"]

_STEPS, _BATCH, _RATE = 4000, 128, 1e-3
_KL = 4e-4
_EDGES = 1.0


def to_unit(images: torch.Tensor) -> torch.Tensor:
    """uint8 pixels as floats in [-1, 1], the range that VAE, CLIP and judge read."""
    return images.float() / 127.5 - 1


def to_pixels(images: torch.Tensor) -> torch.Tensor:
    """Floats in [-1, 1] as uint8 pixels."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def _new_vae() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(32, 64, 64),
        layers_per_block=1,
        latent_channels=8,
        norm_num_groups=16,
        sample_size=64,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
        shift_factor=0.0,
        scaling_factor=1.0,
    )


def _gradients(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return images[..., 1:, :] - images[..., :-1, :], images[..., :, 1:] - images[..., :, :-1]


def _losses(vae: Any, images: torch.Tensor, noise: torch.Tensor) -> dict[str, torch.Tensor]:
    posterior = vae.encode(images).latent_dist
    mean, deviation = posterior.mean.float(), posterior.std.float()
    made = vae.decode(mean + deviation * noise).sample.float()
    down, across = _gradients(made - images)
    pixels = functional.l1_loss(made, images) + functional.mse_loss(made, images)
    edges = down.abs().mean() + across.abs().mean()
    kl = 0.5 * (mean.square() + deviation.square() - 1 - 2 * deviation.clamp_min(1e-6).log()).mean()
    return {"loss": pixels + _EDGES * edges + _KL * kl, "pixels": pixels, "kl": kl}


def train_vae(shop: Workshop) -> bool:
    """Train and save <work>/vae with the shift and scale that make latents unit normal."""
    torch.manual_seed(shop.seed)
    corpus = load_corpus(shop)
    vae = _new_vae().to(shop.device, memory_format=torch.channels_last)
    optimizer = optimizer_for(vae, _RATE)
    steps, batch = shop.scaled(_STEPS, 4), shop.scaled(_BATCH, 4)

    def step(index: int) -> dict[str, torch.Tensor]:
        random = shop.generator(1, index)
        chosen = torch.randint(corpus.training, (batch,), generator=random, device=shop.device)
        images = to_unit(corpus.images[chosen])
        noise = torch.randn((batch, 8, 16, 16), generator=random, device=shop.device)
        for group in optimizer.param_groups:
            group["lr"] = warm_cosine(index, steps, _RATE)
        with shop.autocast():
            losses = _losses(vae, images.contiguous(memory_format=torch.channels_last), noise)
        optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        return losses

    finished = run_steps(shop, "vae", steps, {"model": vae, "optimizer": optimizer}, step)
    _save(shop, vae, corpus)
    return finished


@torch.no_grad()
def _save(shop: Workshop, vae: Any, corpus: Corpus) -> None:
    vae.eval()
    held = to_unit(corpus.images[corpus.training :])
    latents = torch.cat([vae.encode(part).latent_dist.mean for part in held.split(256)])
    vae.register_to_config(shift_factor=float(latents.mean()), scaling_factor=float(1 / latents.std()))
    made = torch.cat([vae.decode(part).sample.clamp(-1, 1) for part in latents.split(256)])
    error = (made - held).square().mean((1, 2, 3)) / 4
    shop.report("vae", {"held_out_psnr": float(-10 * error.log10().mean())})
    vae.to(memory_format=torch.contiguous_format).save_pretrained(shop.work / "vae")


def load_vae(folder: Path, device: torch.device) -> Any:
    """The frozen autoencoder of a folder, float32, in channels-last layout."""
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(folder, dtype=torch.float32)
    vae.requires_grad_(False).eval()
    return vae.to(device, memory_format=torch.channels_last)


@torch.no_grad()
def encode_corpus(shop: Workshop, vae: Any, corpus: Corpus) -> torch.Tensor:
    """Latents (n, 8, 16, 16) of every scene, shifted and scaled, in bf16."""
    made = []
    for images in corpus.images.split(1024):
        with shop.autocast():
            mean = vae.encode(to_unit(images)).latent_dist.mean
        made.append(((mean.float() - vae.config.shift_factor) * vae.config.scaling_factor).bfloat16())
    return torch.cat(made)


@torch.no_grad()
def round_trip(vae: Any, images: torch.Tensor, random: torch.Generator, shaken: float) -> torch.Tensor:
    """What the VAE makes of images in [-1, 1], with latents disturbed by up to `shaken` deviations.

    A generator's latents are never quite on the manifold; who reads its pictures must not be misled by that."""
    latents = vae.encode(images).latent_dist.mean
    share = torch.rand((len(images), 1, 1, 1), generator=random, device=images.device) * shaken
    noise = torch.randn(latents.shape, generator=random, device=images.device)
    disturbed = latents + noise * share / vae.config.scaling_factor
    pictures: torch.Tensor = vae.decode(disturbed).sample.float()
    return pictures.clamp(-1, 1)
