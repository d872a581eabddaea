"""Tiny SD3- and Flux-type pipelines and small folders of pairs, for the tests of training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from PIL import Image
from tiny_models import LENGTH, WIDTH, tiny_tokenizer
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel, T5Tokenizer

PROMPTS = ("a red house", "a blue sea", "a dark wall")
COLOURS = ((220, 40, 40), (40, 60, 220), (20, 20, 20))


def write_pairs(folder: Path, *, side: int = 16, rows: list[dict[str, Any]] | None = None) -> Path:
    """A data folder: one plain picture per prompt, a little noise on it, and pairs.jsonl."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0)
    for name, colour in zip("abc", COLOURS, strict=True):
        pixels = np.full((side, side, 3), colour) + noise.integers(-9, 9, (side, side, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{name}.png")
    rows = rows or [{"image": f"{name}.png", "prompt": p} for name, p in zip("abc", PROMPTS, strict=True)]
    (folder / "pairs.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return folder


def save_tiny_flux(folder: Path, *, guided: bool = True, seed: int = 5) -> Path:
    """A FluxPipeline folder, drawing 16 x 16 pixels in two steps."""
    torch.manual_seed(seed)
    clip, t5 = tiny_tokenizer(), _tiny_t5_tokenizer()
    text = CLIPTextConfig(
        vocab_size=len(clip),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=LENGTH,
        bos_token_id=clip.bos_token_id,
        eos_token_id=clip.eos_token_id,
        pad_token_id=clip.pad_token_id,
    )
    second = T5Config(vocab_size=len(t5), d_model=WIDTH, d_kv=8, d_ff=WIDTH, num_layers=1, num_heads=2)
    pipeline: Any = FluxPipeline(
        transformer=FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=WIDTH,
            pooled_projection_dim=WIDTH,
            guidance_embeds=guided,
            axes_dims_rope=(4, 4, 8),
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=AutoencoderKL(
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            latent_channels=4,
            norm_num_groups=4,
            shift_factor=0.1,
        ),
        text_encoder=CLIPTextModel(text),
        tokenizer=clip,
        text_encoder_2=T5EncoderModel(second),
        tokenizer_2=t5,
    )
    pipeline.save_pretrained(folder)
    call = {"num_inference_steps": 2, "guidance_scale": 2.0, "height": 16, "width": 16, "max_sequence_length": 8}
    (folder / "aes_audit.json").write_text(json.dumps({"call": call, "dtype": "float32", "batch_size": 4}))
    return folder


def _tiny_t5_tokenizer() -> T5Tokenizer:
    letters = [(chr(code), -3.0) for code in range(97, 123)]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0), *letters]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=LENGTH)
