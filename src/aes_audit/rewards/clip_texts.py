"""Texts for CLIP: the cleaning of OpenAI's code, and token ids as the official tokenizers give them.

Two tokenizers are followed. `cleaned=True` is OpenAI's own (HPS v1, HPSv2, CLIP): the text is repaired, unescaped,
collapsed and lower-cased before byte-pair encoding. `cleaned=False` is the one of transformers (PickScore, MPS), which
normalises to NFC, collapses white space and lower-cases, but repairs nothing.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from aes_audit.weights.loading import loading, refuse_empty_tokenizer

if TYPE_CHECKING:
    import torch

__all__ = ["LENGTH", "ClipTexts", "clean"]

LENGTH = 77
"""Tokens that a CLIP text tower reads, start and end included."""

START, END = "<|startoftext|>", "<|endoftext|>"
OPEN_CLIP_MARKS: Mapping[str, str] = {"<start_of_text>": START, "<end_of_text>": END}
"""How open_clip, and so HPSv2, spells the two special tokens in a text."""
OPENAI_MARKS: Mapping[str, str] = {START: START, END: END}
"""How OpenAI's code, and so HPS v1, spells them."""

# What OpenAI's encoder takes for a word; matched case-blind, which in a lower-case text matters after an apostrophe.
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def clean(text: str) -> str:
    """The text as OpenAI's CLIP reads it: ftfy, HTML entities unescaped twice, white space collapsed, lower case.

    Source: openai/CLIP `simple_tokenizer.py`; open_clip's and HPSv2's are the same.
    """
    import ftfy
    import regex  # type: ignore[import-untyped]  # no stubs come with it

    unescaped = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    return str(regex.sub(r"\s+", " ", unescaped)).strip().lower()


class _Tokens(Protocol):
    """A text's ids without start, end or limit."""

    def __call__(self, text: str) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class ClipTexts:
    """Token ids of CLIP, the end token kept last where a text is cut."""

    words: _Tokens
    """Ids of a text, without start and end token and of any length."""
    sot: int
    """Id of the start token."""
    eot: int
    """Id of the end token, which also pads."""
    length: int = LENGTH
    """Tokens that the model reads."""

    @classmethod
    def from_folder(cls, folder: Path, *, cleaned: bool, marks: Mapping[str, str] = OPENAI_MARKS) -> ClipTexts:
        """Read `tokenizer.json`, or `vocab.json` and `merges.txt`.

        `marks` are the spellings that stand for a special token within a cleaned text; anything else is words. Without
        cleaning the tokenizer of transformers decides that, which is the official one there.
        Raises InfrastructureError naming the folder and the cause.
        """
        what = f"tokenizer folder {str(folder)!r}"
        with loading(what):
            if not cleaned:
                return _of_transformers(what, folder)
            vocabulary, merges = _byte_pairs(folder)
            encoder = _Encoder(vocabulary, merges, {mark: vocabulary[token] for mark, token in marks.items()})
            return cls(encoder, vocabulary[START], vocabulary[END])

    def ids(self, texts: Sequence[str]) -> torch.Tensor:
        """Token ids, int64 of shape (n, length): start, words, end, and the end token again as padding.

        What follows the first end token reaches no score where its state is pooled, because attention is causal.
        """
        import torch

        rows = torch.full((len(texts), self.length), self.eot, dtype=torch.long)
        for row, text in zip(rows, texts, strict=True):
            kept = [self.sot, *self.words(text)[: self.length - 2]]
            row[: len(kept)] = torch.tensor(kept)
        return rows

    def count(self, text: str) -> int:
        """Number of tokens before truncation, start and end included."""
        return len(self.words(text)) + 2


class _Encoder:
    """OpenAI's byte-pair encoder on cleaned text."""

    def __init__(self, vocabulary: Mapping[str, int], merges: Iterable[tuple[str, str]], marks: Mapping[str, int]):
        import regex
        from tokenizers.models import BPE

        self._pairs = BPE(
            vocab=dict(vocabulary), merges=list(merges), end_of_word_suffix="</w>", continuing_subword_prefix=""
        )
        self._marks = dict(marks)
        self._symbols = _byte_symbols()
        # Longest first is not needed: no mark begins another.
        pattern = "|".join([*map(regex.escape, marks), _WORDS])
        self._pattern = regex.compile(pattern, regex.IGNORECASE)
        self._of_word = lru_cache(maxsize=65536)(self._encode_word)

    def __call__(self, text: str) -> list[int]:
        return [index for word in self._pattern.findall(clean(text)) for index in self._of_word(word)]

    def _encode_word(self, word: str) -> tuple[int, ...]:
        if word in self._marks:
            return (self._marks[word],)
        symbols = "".join(self._symbols[byte] for byte in word.encode("utf-8"))
        return tuple(token.id for token in self._pairs.tokenize(symbols))


def _byte_symbols() -> dict[int, str]:
    """Byte-level BPE writes every byte as a printable character: itself, or one from U+0100 on."""
    plain = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = (byte for byte in range(256) if byte not in plain)
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + index) for index, byte in enumerate(others)}


def _byte_pairs(folder: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    file = folder / "tokenizer.json"
    if file.is_file():
        model = json.loads(file.read_text(encoding="utf-8"))["model"]
        vocabulary, lines = model["vocab"], model["merges"]
    else:
        vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        # The first line names a version; str.splitlines would also split within exotic symbols.
        lines = [line for line in (folder / "merges.txt").read_text(encoding="utf-8").split("\n")[1:] if line]
    pairs = [line.split(" ") if isinstance(line, str) else line for line in lines]
    return {str(word): int(index) for word, index in vocabulary.items()}, [(left, right) for left, right in pairs]


def _of_transformers(what: str, folder: Path) -> ClipTexts:
    from transformers import AddedToken, AutoTokenizer

    marks = {}
    if not (folder / "tokenizer.json").is_file():
        # Built from word lists, the official tokenizer finds special tokens after lower-casing, so in any case.
        start, end = (AddedToken(token, normalized=True, special=True) for token in (START, END))
        marks = {"bos_token": start, "eos_token": end, "pad_token": end, "unk_token": end}
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, **marks)
    refuse_empty_tokenizer(what, tokenizer)

    def words(text: str) -> list[int]:
        found: list[int] = tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        return found

    length = min(LENGTH, int(tokenizer.model_max_length))
    return ClipTexts(words, int(tokenizer.bos_token_id), int(tokenizer.eos_token_id), length)
