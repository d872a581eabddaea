"""Randomly initialised models of a few thousand weights, saved in the ordinary formats: loading is tested on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    ConvNextConfig,
    ConvNextForImageClassification,
)

from aes_audit.prompts.dimensions import DIMENSIONS, LEVELS

WIDTH = 16
LENGTH = 16
SPECIAL = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>"}


def tiny_tokenizer() -> CLIPTokenizer:
    """Letters only: every text has a tokenisation."""
    letters = [chr(code) for code in range(33, 127)]
    words = [*SPECIAL.values(), *letters, *(f"{letter}</w>" for letter in letters)]
    vocabulary = {word: index for index, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=LENGTH, **SPECIAL)


def _text_config(seed_tokens: CLIPTokenizer) -> dict[str, Any]:
    return {
        "vocab_size": len(seed_tokens),
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": LENGTH,
        "projection_dim": WIDTH,
        "bos_token_id": seed_tokens.bos_token_id,
        "eos_token_id": seed_tokens.eos_token_id,
        "pad_token_id": seed_tokens.pad_token_id,
    }


def save_tiny_pipeline(folder: Path, seed: int = 0) -> Path:
    """A StableDiffusion3Pipeline folder without T5, drawing 16 x 16 pixels in two steps."""
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    text = CLIPTextConfig(**_text_config(tokenizer))
    pipeline: Any = StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=4,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=2 * WIDTH,
            caption_projection_dim=16,
            pooled_projection_dim=2 * WIDTH,
            out_channels=4,
            pos_embed_max_size=8,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=AutoencoderKL(
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            latent_channels=4,
            norm_num_groups=4,
            shift_factor=0.0,
        ),
        text_encoder=CLIPTextModelWithProjection(text),
        tokenizer=tokenizer,
        text_encoder_2=CLIPTextModelWithProjection(text),
        tokenizer_2=tokenizer,
        text_encoder_3=None,
        tokenizer_3=None,
    )
    pipeline.save_pretrained(folder)
    call = {"num_inference_steps": 2, "guidance_scale": 1.0, "height": 16, "width": 16, "max_sequence_length": 1}
    settings = {"call": call, "dtype": "float32", "batch_size": 4}
    (folder / "aes_audit.json").write_text(json.dumps(settings))
    return folder


def save_tiny_lora(folder: Path, seed: int = 1) -> Path:
    """An adapter for `save_tiny_pipeline` that changes what is drawn."""
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    transformer = SD3Transformer2DModel.from_pretrained(save_tiny_pipeline(folder / "base") / "transformer")
    torch.manual_seed(seed)
    transformer.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    StableDiffusion3Pipeline.save_lora_weights(folder, get_peft_model_state_dict(transformer))
    return folder


def save_tiny_clip(folder: Path, seed: int = 2) -> Path:
    """A CLIPModel folder for 16 x 16 pixels."""
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    vision = {
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 16,
        "patch_size": 8,
    }
    config = CLIPConfig(text_config=_text_config(tokenizer), vision_config=vision, projection_dim=WIDTH)
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _save_recipe(folder)
    return folder


def save_tiny_judge(folder: Path, seed: int = 3) -> Path:
    """An image classifier with the labels of a dimension judge."""
    torch.manual_seed(seed)
    labels = dict(enumerate(f"{dimension}={level}" for dimension in DIMENSIONS for level in LEVELS))
    config = ConvNextConfig(
        hidden_sizes=[8, 8],
        depths=[1, 1],
        num_stages=2,
        patch_size=4,
        image_size=16,
        id2label=labels,
        label2id={label: index for index, label in labels.items()},
    )
    ConvNextForImageClassification(config).save_pretrained(folder)
    _save_recipe(folder)
    return folder


def _save_recipe(folder: Path) -> None:
    recipe = {"size": {"height": 16, "width": 16}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(recipe))
