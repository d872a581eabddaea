"""Randomly initialised pipelines of the classes of the zoo, a few thousand weights each, saved as publishers do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLQwenImage,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from tiny_models import SPECIAL
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

CLIP_LENGTH = 77
WIDTH = 16
PIXELS = 32
# The system message that QwenImagePipeline puts in front of every prompt.
QWEN_FRAME = (
    "system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial relationships "
    "of the objects and background:"
)
# The chat frame of Z-Image, in the form of its tokenizer's own template.
CHAT = "{% for message in messages %}<|im_start|>{{ message['content'] }}<|im_end|>{% endfor %}"


def clip_tokenizer() -> CLIPTokenizer:
    """One token per letter, 77 in all, as CLIP has them."""
    letters = [chr(code) for code in range(33, 127)]
    words = [*SPECIAL.values(), *letters, *(f"{letter}</w>" for letter in letters)]
    vocabulary = {word: index for index, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=CLIP_LENGTH, **SPECIAL)


def t5_tokenizer() -> T5Tokenizer:
    """One token per letter."""
    words = ["<pad>", "</s>", "<unk>", "▁", *(chr(code) for code in range(33, 127))]
    return T5Tokenizer(vocab=[(word, -1.0) for word in words], extra_ids=0, model_max_length=512)


def qwen_tokenizer() -> Qwen2Tokenizer:
    """One token per byte, but for a part of Qwen-Image's frame, which must have 34 tokens in front of the prompt."""
    words = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *(chr(code) for code in range(33, 127)), "Ġ", "Ċ"]
    vocabulary = {word: index for index, word in enumerate(words)}
    special = ["<|im_start|>", "<|im_end|>", QWEN_FRAME[:-24]]
    return Qwen2Tokenizer(vocab=vocabulary, merges=[], additional_special_tokens=special, chat_template=CHAT)


def save_flux(folder: Path, seed: int = 0, **call: Any) -> Path:
    """A FluxPipeline with an embedded guidance scale."""
    torch.manual_seed(seed)
    clip, t5 = clip_tokenizer(), t5_tokenizer()
    pipeline = FluxPipeline(
        transformer=flux_transformer(),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=_vae(latent_channels=4),
        text_encoder=CLIPTextModel(_clip_config(clip)),
        tokenizer=clip,
        text_encoder_2=_t5(t5),
        tokenizer_2=t5,
    )
    return _saved(pipeline, folder, {"guidance_scale": 3.5, "max_sequence_length": 32, **call})


def flux_transformer() -> Any:
    """The transformer of `save_flux`, with other weights."""
    return FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        guidance_embeds=True,
        axes_dims_rope=(2, 2, 4),
    )


def save_sd3(folder: Path, seed: int = 0, **call: Any) -> Path:
    """A StableDiffusion3Pipeline with all three text encoders, guided."""
    torch.manual_seed(seed)
    clip, t5 = clip_tokenizer(), t5_tokenizer()
    pipeline = StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=16,
            patch_size=2,
            in_channels=4,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=2 * WIDTH,
            caption_projection_dim=16,
            pooled_projection_dim=2 * WIDTH,
            out_channels=4,
            pos_embed_max_size=16,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_vae(latent_channels=4),
        text_encoder=CLIPTextModelWithProjection(_clip_config(clip)),
        tokenizer=clip,
        text_encoder_2=CLIPTextModelWithProjection(_clip_config(clip)),
        tokenizer_2=clip,
        text_encoder_3=_t5(t5, 2 * WIDTH),
        tokenizer_3=t5,
    )
    return _saved(pipeline, folder, {"guidance_scale": 4.0, "max_sequence_length": 32, **call})


def save_sdxl(folder: Path, seed: int = 0, **call: Any) -> Path:
    """A StableDiffusionXLPipeline, guided."""
    torch.manual_seed(seed)
    clip = clip_tokenizer()
    pipeline = StableDiffusionXLPipeline(
        unet=UNet2DConditionModel(
            sample_size=16,
            in_channels=4,
            out_channels=4,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=(2, 4),
            norm_num_groups=4,
            cross_attention_dim=2 * WIDTH,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + WIDTH,
        ),
        scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear", timestep_spacing="leading", steps_offset=1),
        vae=_vae(latent_channels=4),
        text_encoder=CLIPTextModel(_clip_config(clip)),
        tokenizer=clip,
        text_encoder_2=CLIPTextModelWithProjection(_clip_config(clip)),
        tokenizer_2=clip,
    )
    return _saved(pipeline, folder, {"guidance_scale": 5.0, **call})


def save_qwen_image(folder: Path, seed: int = 0, **call: Any) -> Path:
    """A QwenImagePipeline."""
    torch.manual_seed(seed)
    tokenizer = qwen_tokenizer()
    text = {**_language(len(tokenizer)), "rope_scaling": {"type": "default", "mrope_section": [1, 1, 2]}}
    vision = {"depth": 1, "hidden_size": 8, "intermediate_size": 8, "num_heads": 1, "out_hidden_size": WIDTH}
    pipeline = QwenImagePipeline(
        transformer=QwenImageTransformer2DModel(
            in_channels=16,
            out_channels=4,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=WIDTH,
            axes_dims_rope=(2, 2, 4),
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=AutoencoderKLQwenImage(
            base_dim=8,
            z_dim=4,
            dim_mult=[1, 1],
            num_res_blocks=1,
            temperal_downsample=[False],
            latents_mean=[0.0] * 4,
            latents_std=[1.0] * 4,
        ),
        text_encoder=Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(text_config=text, vision_config=vision)),
        tokenizer=tokenizer,
    )
    return _saved(pipeline, folder, {"max_sequence_length": 64, **call})


def save_z_image(folder: Path, seed: int = 0, **call: Any) -> Path:
    """A ZImagePipeline, guided."""
    torch.manual_seed(seed)
    tokenizer = qwen_tokenizer()
    pipeline = ZImagePipeline(
        transformer=ZImageTransformer2DModel(
            in_channels=4,
            dim=16,
            n_layers=1,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=WIDTH,
            axes_dims=[2, 2, 4],
            axes_lens=[128, 32, 32],
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=_vae(latent_channels=4),
        text_encoder=Qwen3Model(Qwen3Config(**_language(len(tokenizer)))),
        tokenizer=tokenizer,
    )
    return _saved(pipeline, folder, {"guidance_scale": 3.0, "max_sequence_length": 64, **call})


PIPELINES: dict[str, Callable[..., Path]] = {
    "flux": save_flux,
    "sd3": save_sd3,
    "sdxl": save_sdxl,
    "qwen-image": save_qwen_image,
    "z-image": save_z_image,
}
"""One of every class that the zoo names, and one newer than those."""


def _saved(pipeline: Any, folder: Path, call: dict[str, Any]) -> Path:
    pipeline.save_pretrained(folder)
    call = {"num_inference_steps": 2, "height": PIXELS, "width": PIXELS, **call}
    (folder / "aes_audit.json").write_text(json.dumps({"call": call, "dtype": "float32", "batch_size": 4}))
    return folder


def _vae(latent_channels: int) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=latent_channels,
        norm_num_groups=4,
        sample_size=PIXELS,
        shift_factor=0.0,
        force_upcast=False,
    )


def _clip_config(tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=CLIP_LENGTH,
        projection_dim=WIDTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _t5(tokenizer: T5Tokenizer, width: int = WIDTH) -> T5EncoderModel:
    return T5EncoderModel(
        T5Config(vocab_size=len(tokenizer), d_model=width, d_kv=8, d_ff=2 * width, num_layers=1, num_heads=2)
    )


def _language(words: int) -> dict[str, Any]:
    return {
        "vocab_size": words,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 256,
    }
