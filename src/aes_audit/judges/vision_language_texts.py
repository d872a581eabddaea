"""A question about an image in the tokens of a Qwen3-VL: one user turn, and the place where the answer follows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from aes_audit.errors import InfrastructureError
from aes_audit.prompts.dimensions import LEVELS
from aes_audit.weights.loading import loading, refuse_empty_tokenizer

__all__ = ["QwenConversation", "read_qwen_conversation"]

_IMAGE_TOKEN = "<|image_pad|>"


@dataclass(frozen=True, slots=True)
class QwenConversation:
    """The tokens around an image."""

    tokenizer: Any
    """The tokenizer of the model."""
    template: str
    """Its chat template."""
    image_id: int
    """Id of the token that stands for a part of the image."""
    digits: tuple[int, int, int]
    """Ids of the answers "0", "1" and "2"."""

    def around_image(self, question: str, order: str) -> tuple[list[int], list[int]]:
        """Tokens before and behind the image, to the place where the answer follows.

        Special tokens keep texts on their two sides apart, so the tokens of either side do not depend on the other.
        Raises InfrastructureError for a question that names the image token itself.
        """
        parts: list[dict[str, str]] = [{"type": "text", "text": question}, {"type": "image"}]
        turn = [{"role": "user", "content": parts if order == "text-first" else parts[::-1]}]
        text = self.tokenizer.apply_chat_template(
            turn, chat_template=self.template, tokenize=False, add_generation_prompt=True
        )
        ids = _ids(self.tokenizer, text)
        if ids.count(self.image_id) != 1:
            raise InfrastructureError(
                f"the judge's chat template makes {ids.count(self.image_id)} images of one image and the question "
                f"{question[:60]!r}: is it the template of a Qwen3-VL, and the question free of {_IMAGE_TOKEN}?"
            )
        cut = ids.index(self.image_id)
        return ids[:cut], ids[cut + 1 :]


def read_qwen_conversation(folder: Path) -> QwenConversation:
    """The conversation in the tokens of a Qwen3-VL folder.

    Raises InfrastructureError without tokenizer or chat template, or where an answer is more than one token.
    """
    what = f"judge folder {str(folder)!r}"
    with loading(what):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        refuse_empty_tokenizer(what, tokenizer)
        template = tokenizer.chat_template or _template_beside(folder)
    if not isinstance(template, str):
        raise InfrastructureError(f"{what} cannot be used: it has no chat template, or several.")
    zero, one, two = (_single(tokenizer, str(level), what) for level in LEVELS)
    return QwenConversation(tokenizer, template, _single(tokenizer, _IMAGE_TOKEN, what), (zero, one, two))


def _template_beside(folder: Path) -> Any:
    """The template where only processors look for it."""
    if (plain := folder / "chat_template.jinja").is_file():
        return plain.read_text(encoding="utf-8")
    if (older := folder / "chat_template.json").is_file():
        return json.loads(older.read_text(encoding="utf-8"))["chat_template"]
    return None


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _single(tokenizer: Any, text: str, what: str) -> int:
    ids = _ids(tokenizer, text)
    if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
        raise InfrastructureError(
            f"{what} cannot be used: its tokenizer writes {text!r} as {len(ids)} tokens, and J is read from the "
            f"probabilities of single ones; is it the tokenizer of a Qwen3-VL?"
        )
    return ids[0]
