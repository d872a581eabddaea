"""Stage `tokenizer`: byte-pair encoding in CLIP's style, in which every word of the world is one token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from aes_audit.controls.captions import EXPRESSIONS, expression_caption, plain_caption, wide_caption
from aes_audit.controls.scene import sample_scene
from aes_audit.controls.training.workshop import Workshop, write_atomically
from aes_audit.prompts.dimensions import DIMENSIONS

__all__ = ["LENGTH", "load_tokenizer", "train_tokenizer"]

LENGTH = 48
"""Tokens a caption is padded or cut to."""

START, END = "<|startoftext|>", "<|endoftext|>"

# The pattern of CLIPTokenizer: what is trained here must be cut into words as it will be cut later.
_WORDS = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""


def _captions(count: int, seed: int) -> Iterator[str]:
    rng = np.random.default_rng((seed, 1))
    yield " ".join(word for words in EXPRESSIONS.values() for word in words)
    for _ in range(count):
        low = [str(name) for name in rng.choice(DIMENSIONS, 4, replace=False)]
        scene = sample_scene(rng, low)
        yield plain_caption(scene, rng)
        yield wide_caption(scene, rng)
        if scene.kind == "face":
            yield expression_caption(scene, rng)


def _trained(count: int, seed: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token=END))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    split = pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    trainer = trainers.BpeTrainer(
        vocab_size=4000,
        min_frequency=1,
        special_tokens=[START, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(_captions(count, seed), trainer)
    return tokenizer


def train_tokenizer(shop: Workshop) -> bool:
    """Learn the vocabulary and save a CLIPTokenizer folder in <work>/tokenizer."""
    from transformers import CLIPTokenizer

    learnt = json.loads(_trained(shop.scaled(20_000, 1500), shop.seed).to_str())["model"]
    vocabulary = _with_word_ends(learnt["vocab"])
    merges: Any = [tuple(merge) for merge in learnt["merges"]]
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=LENGTH)
    folder = shop.work / "tokenizer"
    tokenizer.save_pretrained(folder)
    write_atomically(folder / "tokenizer.json", tokenizer.backend_tokenizer.to_str().encode())
    shop.report("tokenizer", {"vocabulary": len(tokenizer), "length": LENGTH})
    return True


def _with_word_ends(learnt: dict[str, int]) -> dict[str, int]:
    """The vocabulary with a word-final form of every byte, so that any text has tokens."""
    names = sorted(learnt, key=lambda name: learnt[name])
    names += [f"{byte}</w>" for byte in sorted(pre_tokenizers.ByteLevel.alphabet()) if f"{byte}</w>" not in learnt]
    return {name: index for index, name in enumerate(names)}


def load_tokenizer(folder: Path) -> Any:
    """The CLIPTokenizer saved in a folder."""
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(folder)
