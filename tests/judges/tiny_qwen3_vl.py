"""A Qwen3-VL of few random weights in the layout of the hub, with a tokenizer that has read the guideline.

Weights are drawn wide, so that answers differ between questions and between images.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer, Qwen3VLConfig, Qwen3VLForConditionalGeneration

from aes_audit.judges.guideline import Guideline, question

__all__ = ["SHAPES", "save_tiny_adapter", "save_tiny_qwen3_vl"]


SHAPES: Mapping[str, Mapping[str, Any]] = {
    "tiny": {},
    "medium": {
        "width": 512, "layers": 12, "inner": 1536, "heads": (8, 2, 64), "vision": (6, 256, 1024, 4), "deep": (1, 2, 3),
        "vocabulary": 8000, "spread": 0.02,
    },
    "full": {
        "width": 2560, "layers": 36, "inner": 9728, "heads": (32, 8, 128), "vision": (24, 1024, 4096, 16),
        "deep": (5, 11, 17), "vocabulary": 151936, "spread": 0.02,
    },
}  # fmt: skip
"""`full` is Qwen3-VL-4B; `medium` has about a hundredth of its weights, in its proportions."""

_NAMES = ("endoftext", "im_start", "im_end", "vision_start", "vision_end", "image_pad", "video_pad")
_SPECIAL = [f"<|{name}|>" for name in _NAMES]
_TEMPLATE = (
    "{% for turn in messages %}<|im_start|>{{ turn['role'] }}\n{% if turn['content'] is string %}{{ turn['content'] }}"
    "{% else %}{% for part in turn['content'] %}{% if part['type'] in ('image', 'image_url') %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_tiny_qwen3_vl(folder: Path, seed: int = 0, dtype: torch.dtype = torch.float32, **shape: Any) -> Path:
    """A folder as the hub has it; `shape` is that of `_config`."""
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    kept = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        Qwen3VLForConditionalGeneration(_config(tokenizer, **shape)).save_pretrained(folder)
    finally:
        torch.set_default_dtype(kept)
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
    inner: int = 96,
    heads: tuple[int, int, int] = (4, 2, 16),
    vision: tuple[int, int, int, int] = (3, 32, 64, 2),
    deep: Sequence[int] = (0, 1),
    vocabulary: int | None = None,
    spread: float = 0.2,
) -> Qwen3VLConfig:
    """`heads`: of queries, of keys, and their width; `vision`: layers, width, inner width, heads."""
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in _SPECIAL}
    sections = [heads[2] // 4, heads[2] // 8, heads[2] // 8]
    seeing = {
        "depth": vision[0],
        "hidden_size": vision[1],
        "intermediate_size": vision[2],
        "num_heads": vision[3],
        "patch_size": 16,
        "out_hidden_size": width,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": list(deep),
        "initializer_range": spread,
    }
    text = {
        "vocab_size": vocabulary or len(tokenizer),
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads[0],
        "num_key_value_heads": heads[1],
        "head_dim": heads[2],
        "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": sections},
        "initializer_range": spread,
        "pad_token_id": ids["<|endoftext|>"],
    }
    return Qwen3VLConfig(
        vision_config=seeing,
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
