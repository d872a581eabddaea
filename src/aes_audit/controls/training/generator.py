"""Stage `generator`: the rectified-flow transformer and its two text encoders, saved as an SD3 pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from aes_audit.controls.training.corpus import WORDINGS, Corpus, load_corpus
from aes_audit.controls.training.loop import Average, Stateful, optimizer_for, run_steps, warm_cosine
from aes_audit.controls.training.tokenizer import LENGTH, load_tokenizer
from aes_audit.controls.training.vae import encode_corpus, load_vae
from aes_audit.controls.training.workshop import Workshop, write_atomically

__all__ = ["SETTINGS", "Painter", "load_painter", "train_generator"]

SETTINGS: dict[str, float | int] = {
    "num_inference_steps": 12,
    "guidance_scale": 1.0,
    "height": 64,
    "width": 64,
    "max_sequence_length": 0,
}
"""The pipeline call that the controls are trained for: no guidance, no T5 tokens."""

_STEPS, _BATCH, _RATE = 12_000, 512, 1.2e-3
_DROPPED = 0.05


def _text_encoder(vocabulary: int, start: int, end: int) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=96,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=4,
        projection_dim=96,
        max_position_embeddings=LENGTH,
        bos_token_id=start,
        eos_token_id=end,
        pad_token_id=end,
    )
    return CLIPTextModelWithProjection(config)


def _transformer() -> Any:
    from diffusers import SD3Transformer2DModel

    return SD3Transformer2DModel(
        sample_size=16,
        patch_size=2,
        in_channels=8,
        out_channels=8,
        num_layers=5,
        attention_head_dim=32,
        num_attention_heads=6,
        joint_attention_dim=192,
        caption_projection_dim=192,
        pooled_projection_dim=192,
        pos_embed_max_size=16,
    )


class Painter(nn.Module):
    """Text encoders and transformer as one trainable function: the velocity field of the flow."""

    def __init__(self, transformer: Any, encoders: list[Any]) -> None:
        """Two encoders, whose features are laid side by side as the pipeline does."""
        super().__init__()
        self.transformer = transformer
        self.encoders = nn.ModuleList(encoders)

    def read(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Token features (n, LENGTH, 192) and pooled features (n, 192) of token ids."""
        outputs = [encoder(tokens.long(), output_hidden_states=True) for encoder in self.encoders]
        features = torch.cat([output.hidden_states[-2] for output in outputs], dim=-1)
        return features, torch.cat([output.text_embeds for output in outputs], dim=-1)

    def forward(
        self, latents: torch.Tensor, sigma: torch.Tensor, features: torch.Tensor, pooled: torch.Tensor
    ) -> torch.Tensor:
        """Velocity (noise minus data) at noise share `sigma`, (n,), 0 to 1."""
        output: tuple[torch.Tensor] = self.transformer(
            hidden_states=latents,
            timestep=1000 * sigma,
            encoder_hidden_states=features,
            pooled_projections=pooled,
            return_dict=False,
        )
        return output[0]


def _new_painter(tokenizer: Any) -> Painter:
    numbers = (len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id)
    return Painter(_transformer(), [_text_encoder(*numbers), _text_encoder(*numbers)])


def _empty_tokens(tokenizer: Any, device: torch.device) -> torch.Tensor:
    encoded = tokenizer("", padding="max_length", max_length=LENGTH, return_tensors="pt")["input_ids"]
    return torch.as_tensor(encoded, device=device)


def train_generator(shop: Workshop) -> bool:
    """Train and save <output>/faithful: the pipeline of averaged weights, and settings.json."""
    torch.manual_seed(shop.seed)
    corpus, vae = load_corpus(shop), load_vae(shop.work / "vae", shop.device)
    latents, tokenizer = encode_corpus(shop, vae, corpus), load_tokenizer(shop.work / "tokenizer")
    painter = _new_painter(tokenizer).to(shop.device)
    optimizer, average = optimizer_for(painter, _RATE, decay=0.01), Average(painter, 0.9995)
    steps, batch = shop.scaled(_STEPS, 4), shop.scaled(_BATCH, 4)
    empty = _empty_tokens(tokenizer, shop.device)
    velocity = _velocity(shop, painter)

    def step(index: int) -> dict[str, torch.Tensor]:
        random = shop.generator(7, index)
        chosen = torch.randint(corpus.training, (batch,), generator=random, device=shop.device)
        for part in optimizer.param_groups:
            part["lr"] = warm_cosine(index, steps, _RATE, warm=500)
        tokens = _tokens(corpus, chosen, empty, random)
        loss = _flow_loss(shop, velocity, latents[chosen].float(), tokens, random)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(painter.parameters(), 1.0)
        optimizer.step()
        average.update()
        return {"loss": loss}

    parts: dict[str, Stateful] = {"model": painter, "optimizer": optimizer, "average": average}
    finished = run_steps(shop, "generator", steps, parts, step, every=4000)
    average.copy_to_module()
    shop.report("generator", {"held_out_loss": _held_out_loss(shop, painter, latents, corpus)})
    _save(shop, painter, tokenizer)
    return finished


def _velocity(shop: Workshop, painter: Painter) -> Any:
    """Tokens, latents and noise share to velocity; compiled where that pays."""

    def velocity(latents: torch.Tensor, sigma: torch.Tensor, tokens: torch.Tensor) -> Any:
        return painter(latents, sigma, *painter.read(tokens))

    if shop.device.type != "cuda":
        return velocity
    import torch._dynamo

    torch._dynamo.config.suppress_errors = True
    return torch.compile(velocity)


def _tokens(corpus: Corpus, chosen: torch.Tensor, empty: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """One of the captions that ask for all low ends, a few of them replaced by nothing."""
    wording = torch.randint(1, WORDINGS, chosen.shape, generator=random, device=chosen.device)
    dropped = torch.rand(chosen.shape, generator=random, device=chosen.device) < _DROPPED
    return torch.where(dropped[:, None], empty, corpus.texts[chosen, wording].long())


def _flow_loss(
    shop: Workshop, velocity: Any, data: torch.Tensor, tokens: torch.Tensor, random: torch.Generator
) -> torch.Tensor:
    """Squared error of the velocity at logit-normal noise shares."""
    noise = torch.randn(data.shape, generator=random, device=data.device)
    sigma = torch.sigmoid(torch.randn((len(data),), generator=random, device=data.device))
    mixed = data + (noise - data) * sigma[:, None, None, None]
    with shop.autocast():
        guess = velocity(mixed, sigma, tokens)
    return functional.mse_loss(guess.float(), noise - data)


@torch.no_grad()
def _held_out_loss(shop: Workshop, painter: Painter, latents: torch.Tensor, corpus: Corpus) -> float:
    def velocity(latents: torch.Tensor, sigma: torch.Tensor, tokens: torch.Tensor) -> Any:
        return painter(latents, sigma, *painter.read(tokens))

    span, losses = torch.arange(corpus.training, len(latents), device=shop.device), []
    for index, part in enumerate(span.split(512)):
        tokens = corpus.texts[part, 2].long()
        losses.append(_flow_loss(shop, velocity, latents[part].float(), tokens, shop.generator(8, index)))
    return round(float(torch.stack(losses).mean()), 5)


def _save(shop: Workshop, painter: Painter, tokenizer: Any) -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler, StableDiffusion3Pipeline

    vae = load_vae(shop.work / "vae", torch.device("cpu"))
    pipeline: Any = StableDiffusion3Pipeline(
        transformer=painter.transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
        vae=vae.to(memory_format=torch.contiguous_format),
        text_encoder=painter.encoders[0],
        tokenizer=tokenizer,
        text_encoder_2=painter.encoders[1],
        tokenizer_2=tokenizer,
        text_encoder_3=None,
        tokenizer_3=None,
    )
    pipeline.to(torch.float16).save_pretrained(shop.output / "faithful")
    for path, said in (
        (shop.output / "settings.json", SETTINGS),
        (shop.output / "faithful" / "aes_audit.json", {"call": SETTINGS, "dtype": "float32", "batch_size": 24}),
    ):
        write_atomically(path, (json.dumps(said, indent=2) + "\n").encode())


def load_painter(folder: Path, device: torch.device) -> Painter:
    """The frozen velocity field of a pipeline folder, float32."""
    from diffusers import SD3Transformer2DModel
    from transformers import CLIPTextModelWithProjection

    transformer = SD3Transformer2DModel.from_pretrained(folder / "transformer", dtype=torch.float32)
    encoders = [
        CLIPTextModelWithProjection.from_pretrained(folder / name, dtype=torch.float32)
        for name in ("text_encoder", "text_encoder_2")
    ]
    painter = Painter(transformer, encoders).to(device).eval()
    painter.requires_grad_(False)
    return painter
