"""A Qwen3-VL of few random weights in the layout of the hub, with a tokenizer that has read the guideline.

Weights are drawn wide, so that answers differ between questions and between images.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer, Qwen3VLConfig, Qwen3VLForConditionalGeneration

from aes_audit.judges.guideline import Guideline, question

__all__ = ["save_tiny_adapter", "save_tiny_qwen3_vl"]

_NAMES = ("endoftext", "im_start", "im_end", "vision_start", "vision_end", "image_pad", "video_pad")
_SPECIAL = [f"<|{name}|>" for name in _NAMES]
_TEMPLATE = (
    "{% for turn in messages %}<|im_start|>{{ turn['role'] }}\n{% if turn['content'] is string %}{{ turn['content'] }}"
    "{% else %}{% for part in turn['content'] %}{% if part['type'] in ('image', 'image_url') %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_tiny_qwen3_vl(folder: Path, seed: int = 0, **sizes: Any) -> Path:
    """A folder as the hub has it. `sizes` change the configuration, see `_config`."""
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    Qwen3VLForConditionalGeneration(_config(tokenizer, **sizes)).save_pretrained(folder)
    recipe = {
        "image_processor_type": "Qwen2VLImageProcessorFast",
        "size": {"shortest_edge": 32 * 32, "longest_edge": 4096 * 4096},
        "patch_size": 16,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(recipe))
    return folder


def save_tiny_adapter(folder: Path, base: Path, seed: int = 1, **settings: Any) -> Path:
    """A LoRA adapter in PEFT's layout for the attention of `base`, that changes what it answers."""
    from peft import LoraConfig, get_peft_model

    model = Qwen3VLForConditionalGeneration.from_pretrained(base)
    torch.manual_seed(seed)
    targets = r".*language_model.*\.(q|k|v|o)_proj"
    wanted = {"r": 4, "lora_alpha": 8, "target_modules": targets, "init_lora_weights": False, **settings}
    get_peft_model(model, LoraConfig(**wanted)).save_pretrained(str(folder))
    return folder


def _config(
    tokenizer: Any,
    *,
    width: int = 32,
    layers: int = 3,
    depth: int = 3,
    spread: float = 0.2,
    deep: Sequence[int] = (0, 1),
) -> Qwen3VLConfig:
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in _SPECIAL}
    vision = {
        "depth": depth,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_heads": 2,
        "patch_size": 16,
        "out_hidden_size": width,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": list(deep),
        "initializer_range": spread,
    }
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": width,
        "intermediate_size": 3 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2]},
        "initializer_range": spread,
        "pad_token_id": ids["<|endoftext|>"],
    }
    return Qwen3VLConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
    )


def _tokenizer() -> Any:
    made: Any = Qwen2Tokenizer
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    guideline = Guideline.read()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=900, initial_alphabet=alphabet, show_progress=False)
    raw.train_from_iterator((question(name, guideline) for name in guideline.levels), trainer)
    learnt = json.loads(raw.to_str())["model"]
    merges = [tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in learnt["merges"]]
    tokenizer = made(
        vocab=learnt["vocab"], merges=merges, pad_token=_SPECIAL[0], eos_token="<|im_end|>", unk_token=None
    )
    tokenizer.add_special_tokens({"additional_special_tokens": _SPECIAL})
    tokenizer.chat_template = _TEMPLATE
    return tokenizer
