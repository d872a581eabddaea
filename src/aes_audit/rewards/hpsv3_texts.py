"""The conversation that HPSv3 reads: image, instruction with the prompt filled in, and the token that is rated.

The texts in data/hpsv3/ are part of the model, as they were in its training; they are the authors' (MIT, see there).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from transformers import AddedToken, AutoTokenizer

from aes_audit.errors import InfrastructureError
from aes_audit.weights.loading import loading, refuse_empty_tokenizer

__all__ = ["REWARD_TOKEN", "Conversation", "instruction", "rating_line", "read_conversation"]

REWARD_TOKEN = "<|Reward|>"
"""Added to the base model's vocabulary; the state at this token is what the head rates."""

_IMAGE_TOKEN = "<|image_pad|>"
# The official processor writes the second one while it multiplies the first, so that both become image tokens.
_PLACEHOLDERS = (_IMAGE_TOKEN, "<|placeholder|>")
_FIELD = "{text_prompt}"
_OPENING = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    f"<|im_start|>user\n<|vision_start|>{_IMAGE_TOKEN}<|vision_end|>"
)
_CLOSING = "<|im_end|>\n<|im_start|>assistant\n"
_EXAMPLE = "a cat, 1 dog"
_DATA = Path(__file__).parent / "data" / "hpsv3"


def instruction() -> str:
    """The instruction template: 2523 characters with `{text_prompt}` where the prompt goes."""
    return _read("instruction.txt")


def rating_line() -> str:
    """What follows the filled instruction: 67 characters, among them the reward token."""
    return _read("rating.txt")


@dataclass(frozen=True, slots=True)
class Conversation:
    """The tokens around an image and a prompt."""

    tokenizer: Any
    """The base model's tokenizer with the reward token added."""
    before_image: tuple[int, ...]
    """Tokens up to the image: system turn, start of the user's turn."""
    after_image: tuple[int, ...]
    """Tokens between the image and the prompt: the instruction."""
    anchor: str
    """The last piece of the instruction, where the tokenizer always starts a new word."""
    anchor_ids: tuple[int, ...]
    """Its tokens, with which `after_image` ends."""
    reward_id: int
    """Id of the reward token."""
    image_id: int
    """Id of the token that stands for a part of the image."""
    pad_id: int
    """Id with which shorter rows are filled up; no score depends on it."""

    def refusal(self, text: str) -> str | None:
        """Why the text cannot be a prompt: it holds a token that marks the rating or the image; else None."""
        for token in (REWARD_TOKEN, *_PLACEHOLDERS):
            if token in text:
                return f"the prompt contains {token}, which hpsv3 reserves for its own input: take it out"
        return None

    def tokens(self, text: str, image_tokens: int) -> list[int]:
        """The whole conversation about an image of `image_tokens` tokens, as the official processor makes it.

        Other special tokens in a text, such as <|im_end|>, act as such: the official tokenizer reads them so too.
        """
        image = [self.image_id] * image_tokens
        return [*self.before_image, *image, *self.after_image, *self._behind_instruction(text)]

    def tail(self, text: str) -> tuple[int, ...]:
        """Tokens from the prompt to the reward token; those behind it cannot reach a causal model's state there."""
        ids = self._behind_instruction(text)
        return tuple(ids[: ids.index(self.reward_id) + 1])

    def count(self, text: str) -> int:
        """Number of tokens of the whole conversation, the image's not counted."""
        return len(self.before_image) + len(self.after_image) + len(self._behind_instruction(text))

    def _behind_instruction(self, text: str) -> list[int]:
        # Reading the instruction again for every prompt would cost more than reading the prompt.
        ids = _ids(self.tokenizer, self.anchor + _from_prompt(text))
        start = len(self.anchor_ids)
        if tuple(ids[:start]) != self.anchor_ids:
            raise _foreign(text)
        return ids[start:]


def read_conversation(base: Path) -> Conversation:
    """The conversation in the tokens of a Qwen2-VL folder; raises InfrastructureError without such a tokenizer."""
    what = f"hpsv3 base folder {str(base)!r}"
    with loading(what):
        tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
        refuse_empty_tokenizer(what, tokenizer)
        tokenizer.add_tokens([AddedToken(REWARD_TOKEN, normalized=False, special=True)], special_tokens=True)
    image_id, reward_id = (_single(tokenizer, token, what) for token in (_IMAGE_TOKEN, REWARD_TOKEN))
    # The prompt's first word takes the blank before it into its token, so the shared part ends before that blank.
    shared = _OPENING + instruction().partition(_FIELD)[0].rstrip(" ")
    anchor = shared[shared.rindex(" ") :]
    head = _ids(tokenizer, shared)
    cut = head.index(image_id)
    pad_id = 0 if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    conversation = Conversation(
        tokenizer=tokenizer,
        before_image=tuple(head[:cut]),
        after_image=tuple(head[cut + 1 :]),
        anchor=anchor,
        anchor_ids=tuple(_ids(tokenizer, anchor)),
        reward_id=reward_id,
        image_id=image_id,
        pad_id=pad_id,
    )
    if conversation.tokens(_EXAMPLE, 1) != _ids(tokenizer, shared + _from_prompt(_EXAMPLE)):
        raise _foreign(_EXAMPLE)
    return conversation


def _from_prompt(text: str) -> str:
    """The conversation from the blank before the prompt to its end."""
    return " " + text + instruction().partition(_FIELD)[2] + rating_line() + _CLOSING


def _foreign(text: str) -> InfrastructureError:
    return InfrastructureError(
        f"hpsv3: the tokenizer does not keep the prompt {text[:60]!r} apart from the instruction before it: "
        "take the tokenizer of Qwen/Qwen2-VL-7B-Instruct."
    )


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text)["input_ids"]
    return ids


def _single(tokenizer: Any, token: str, what: str) -> int:
    ids = _ids(tokenizer, token)
    if len(ids) != 1:
        raise InfrastructureError(f"{what} cannot be used: its tokenizer does not know {token}; is it Qwen2-VL's?")
    return ids[0]


@cache
def _read(name: str) -> str:
    # As bytes: blanks and line ends are part of the model's input on every system.
    return (_DATA / name).read_bytes().decode("utf-8")
