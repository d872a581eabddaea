"""Stage `tokenizer`: byte-pair encoding in CLIP's style, in which every word of the world is one token."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import pre_tokenizers

from aes_audit.controls.captions import EXPRESSIONS, expression_caption, plain_caption, wide_caption
from aes_audit.controls.scene import sample_scene
from aes_audit.controls.training.workshop import Workshop, write_atomically
from aes_audit.prompts.dimensions import DIMENSIONS

__all__ = ["LENGTH", "load_tokenizer", "train_tokenizer"]

LENGTH = 48
"""Tokens a caption is padded or cut to."""

START, END = "<|startoftext|>", "<|endoftext|>"


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


def _word_counts(captions: Iterator[str]) -> Counter[tuple[str, ...]]:
    """Words as tuples of symbols, the last one marked as a word's end, with how often they occur."""
    words = Counter(word for caption in captions for word in re.findall(r"[a-z]+|[^\sa-z]+", caption.lower()))
    return Counter({(*word[:-1], f"{word[-1]}</w>"): count for word, count in words.items()})


def _merges(words: Counter[tuple[str, ...]]) -> list[tuple[str, str]]:
    """Byte-pair merges until every word is one symbol; equal counts go by the alphabet.

    The trainer of the tokenizers library breaks ties by the order of a hash map, another one in each process."""
    merges: list[tuple[str, str]] = []
    while any(len(word) > 1 for word in words):
        counts: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            for pair in pairwise(word):
                counts[pair] += count
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        joined: Counter[tuple[str, ...]] = Counter()
        for word, count in words.items():
            joined[_joined(word, best)] += count
        words = joined
    return merges


def _joined(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    symbols: list[str] = []
    for symbol in word:
        if symbols and (symbols[-1], symbol) == pair:
            symbols[-1] += symbol
        else:
            symbols.append(symbol)
    return tuple(symbols)


def train_tokenizer(shop: Workshop) -> bool:
    """Learn the vocabulary and save a CLIPTokenizer folder in <work>/tokenizer."""
    from transformers import CLIPTokenizer

    merges: Any = _merges(_word_counts(_captions(shop.scaled(20_000, 1500), shop.seed)))
    # Every byte, within a word and at its end: any text has tokens.
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [START, END, *letters, *(f"{letter}</w>" for letter in letters), *(one + other for one, other in merges)]
    vocabulary = {name: index for index, name in enumerate(dict.fromkeys(names))}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=LENGTH)
    folder = shop.work / "tokenizer"
    tokenizer.save_pretrained(folder)
    write_atomically(folder / "tokenizer.json", tokenizer.backend_tokenizer.to_str().encode())
    shop.report("tokenizer", {"vocabulary": len(tokenizer), "length": LENGTH})
    return True


def load_tokenizer(folder: Path) -> Any:
    """The CLIPTokenizer saved in a folder."""
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(folder)
