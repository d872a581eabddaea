"""Texts for BLIP: token ids of bert-base-uncased, 35 at most, as BLIP's and ImageReward's official code cut them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aes_audit.errors import InfrastructureError
from aes_audit.rewards.protocol import TextReading
from aes_audit.weights.loading import loading, refuse_empty_tokenizer

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LENGTH", "BertTexts"]

LENGTH = 35
"""Tokens that the text side reads, [CLS] and [SEP] included."""

# In this order the official code adds them after the last id; they own the last two rows of the word embedding.
_ADDED = ("[DEC]", "[ENC]")


@dataclass(frozen=True, slots=True)
class BertTexts:
    """The lower-casing tokenizer with its two added tokens.

    A special token spelled out in a text ([PAD], [UNK], [CLS], [SEP], [MASK], [DEC], [ENC], in capitals) becomes that
    token and not words, because the official code's BertTokenizer of transformers 4 looks for them in the text;
    `[sep]` and `[ SEP ]` are words. Such a [PAD] is read like any token, only real padding is masked.

    Compared with that tokenizer (4.45.2, Python 3.11) on 80 texts of such kinds, ids differ for one reason only: it
    drops code points that its Python's Unicode version does not know (recent emoji), where this one has [UNK].
    """

    tokenizer: Any
    """The BertTokenizer of transformers."""

    @classmethod
    def from_folder(cls, folder: Path, *, rows: int) -> BertTexts:
        """Read `vocab.txt` or `tokenizer.json`; `rows` is the height of the word embedding that the ids index.

        Raises InfrastructureError naming the folder where there is no tokenizer, or one for another vocabulary.
        """
        from transformers import AddedToken, BertTokenizer

        what = f"tokenizer folder {str(folder)!r}"
        with loading(what):
            tokenizer = BertTokenizer.from_pretrained(folder, local_files_only=True, do_lower_case=True)
            refuse_empty_tokenizer(what, tokenizer)
            added = [AddedToken(token, normalized=False, special=True) for token in _ADDED]
            tokenizer.add_tokens(added, special_tokens=True)
        if (known := max(tokenizer.get_vocab().values()) + 1) != rows:
            raise InfrastructureError(
                f"{what} knows {known} tokens where the weights have {rows}: give the folder of bert-base-uncased."
            )
        return cls(tokenizer)

    def read(self, text: str) -> TextReading:
        """Tokens before truncation, [CLS] and [SEP] included."""
        tokens = len(self.tokenizer(text, truncation=False, verbose=False)["input_ids"])
        return TextReading(tokens, tokens > LENGTH)

    def ids(self, texts: Sequence[str]) -> list[Tensor]:
        """One int64 vector of 2 to 35 ids per text: [CLS], words, [SEP]; the last is kept where a text is cut."""
        import torch

        rows = self.tokenizer(list(texts), truncation=True, max_length=LENGTH)["input_ids"] if texts else []
        return [torch.tensor(row, dtype=torch.long) for row in rows]
