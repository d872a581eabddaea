"""HPSv3: a Qwen2-VL that reads an image, an instruction and a prompt; a head rates the state at its reward token.

Score = mu, an unbounded Bradley-Terry utility, about -6 to 15; `sigma` is the second output as it is, not softplus-ed.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from aes_audit.device import check_device
from aes_audit.errors import InfrastructureError, ModelNotFound
from aes_audit.rewards.cpu_kernels import faster_on_cpu
from aes_audit.rewards.hpsv3_checkpoint import body_dtype, read_weights
from aes_audit.rewards.hpsv3_texts import Conversation, read_conversation
from aes_audit.rewards.protocol import TextReading
from aes_audit.rewards.qwen_image import qwen_256, qwen_note

if TYPE_CHECKING:
    from PIL.Image import Image

    from aes_audit.rewards.files import RewardFiles

__all__ = ["HpsV3", "HpsV3Image", "HpsV3Text", "load_hpsv3"]


@dataclass(frozen=True, slots=True)
class HpsV3Image:
    """What the language model has read before it comes to a prompt: system turn, image, instruction.

    Attention is causal, so this is the same for every prompt. It takes 57 kB per token in bfloat16 for the published
    model, about 45 MB per image; the driver keeps the images of at most two batches.
    """

    keys: tuple[Tensor, ...]
    """Per layer: rotated keys, (1, key heads, length, head width)."""
    values: tuple[Tensor, ...]
    """Per layer: values, of the same shape."""
    length: int
    """Tokens read."""


@dataclass(frozen=True, slots=True)
class HpsV3Text:
    """What is left to read behind the instruction."""

    ids: tuple[int, ...]
    """Tokens from the prompt to the reward token."""


@dataclass(slots=True)
class HpsV3:
    """A loaded HPSv3; follows `Architecture`."""

    body: Any
    """A Qwen2VLModel."""
    head: nn.Sequential
    """Body state to (mu, sigma), float32."""
    conversation: Conversation
    """The tokens around image and prompt."""
    outputs: tuple[str, ...] = ("value", "sigma")
    """mu is the score."""
    image_batch: int = 4
    """Images per forward pass; see HpsV3Image for what they keep."""
    pair_batch: int = 8
    """Pairs per forward pass; each needs a copy of its image's keys and values while it runs."""

    def read_text(self, text: str) -> TextReading:
        """Tokens of the conversation without the image's; nothing is truncated; see `Conversation.refusal`."""
        refusal = self.conversation.refusal(text)
        return TextReading(0 if refusal else self.conversation.count(text), False, refusal)

    def image_note(self, image: Image) -> str | None:
        """See `qwen_note`."""
        return qwen_note(image)

    def encode_images(self, images: Sequence[Image]) -> list[HpsV3Image]:
        """The vision model over all images at once, the language model over those of equal length at once."""
        tokens = self._visual_tokens(images)
        states: dict[int, HpsV3Image] = {}
        for rows in _groups([len(part) for part in tokens]):
            states |= zip(rows, self._read_prefixes(torch.stack([tokens[row] for row in rows])), strict=True)
        return [states[row] for row in range(len(images))]

    def encode_texts(self, texts: Sequence[str]) -> list[HpsV3Text]:
        """Token ids; what they mean depends on the image."""
        return [HpsV3Text(self.conversation.tail(text)) for text in texts]

    def combine(self, images: Sequence[HpsV3Image], texts: Sequence[HpsV3Text]) -> list[tuple[float, ...]]:
        """(mu, sigma) of every pair; images of equal length and texts of similar length share a forward pass."""
        outputs: dict[int, tuple[float, ...]] = {}
        for rows in _groups([(image.length, _rung(text)) for image, text in zip(images, texts, strict=True)]):
            rated = self._read_tails([images[row] for row in rows], [texts[row].ids for row in rows])
            outputs |= zip(rows, (tuple(row) for row in rated.tolist()), strict=True)
        return [outputs[row] for row in range(len(images))]

    def _visual_tokens(self, images: Sequence[Image]) -> list[Tensor]:
        pictures = [qwen_256(image) for image in images]
        grid = torch.tensor([[1, picture.rows, picture.columns] for picture in pictures], device=self.body.device)
        values = torch.cat([picture.values for picture in pictures]).to(self.body.device, self.body.dtype)
        seen = self.body.visual(values, grid_thw=grid)
        # Later versions of transformers wrap the merged tokens, earlier ones return them.
        return list(getattr(seen, "pooler_output", seen).split([picture.tokens for picture in pictures]))

    def _read_prefixes(self, tokens: Tensor) -> Iterator[HpsV3Image]:
        """Read everything before the prompt; `tokens` is (images, image tokens, width)."""
        count = len(tokens)
        before, after = (
            self._embedded([ids] * count) for ids in (self.conversation.before_image, self.conversation.after_image)
        )
        cache = _PrefixCache(config=self.body.language_model.config)
        read = torch.cat([before, tokens, after], dim=1)
        with suppress(_PrefixComplete):
            self._read(read, cache)
        layers: Sequence[Any] = cache.layers
        for row in range(count):
            # Copies, since a view would keep the whole batch alive.
            keys = tuple(layer.keys[row : row + 1].clone() for layer in layers)
            values = tuple(layer.values[row : row + 1].clone() for layer in layers)
            yield HpsV3Image(keys, values, read.shape[1])

    def _read_tails(self, images: Sequence[HpsV3Image], tails: Sequence[Sequence[int]]) -> Tensor:
        """Read the prompts on top of what was read before, and rate; (pairs, 2), float32, on the CPU."""
        cache = DynamicCache(config=self.body.language_model.config)
        for layer in range(len(images[0].keys)):
            keys, values = (
                torch.cat([parts[layer] for parts in read])
                for read in ([image.keys for image in images], [image.values for image in images])
            )
            cache.update(keys, values, layer)
        longest = max(map(len, tails))
        ids = [[*tail, *[self.conversation.pad_id] * (longest - len(tail))] for tail in tails]
        states = self._read(self._embedded(ids), cache, self._mask(images[0].length, tails))
        # Nothing follows the reward token but padding.
        at_reward = states[torch.arange(len(tails)), torch.tensor([len(tail) - 1 for tail in tails])]
        rated: Tensor = self.head(at_reward.float())
        return rated.cpu()

    def _mask(self, start: int, tails: Sequence[Sequence[int]]) -> Tensor | None:
        """1 where a row has a token; None where every row has one everywhere."""
        lengths = torch.tensor([len(tail) for tail in tails], device=self.body.device)
        total = start + int(lengths.max())
        if bool((lengths == lengths[0]).all()):
            return None
        return (torch.arange(total, device=self.body.device) < start + lengths[:, None]).long()

    def _embedded(self, ids: Sequence[Sequence[int]]) -> Tensor:
        embedded: Tensor = self.body.language_model.embed_tokens(torch.tensor(ids, device=self.body.device))
        return embedded

    def _read(self, embedded: Tensor, cache: DynamicCache, mask: Tensor | None = None) -> Tensor:
        """Run the language model on (rows, length, width) behind what `cache` holds, which grows; the last states."""
        rows, length, _ = embedded.shape
        states: Tensor = self.body.language_model(
            inputs_embeds=embedded,
            attention_mask=mask,
            position_ids=_positions(rows, cache.get_seq_length(), length).to(embedded.device),
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        return states


def load_hpsv3(files: RewardFiles, options: Mapping[str, str], device: str) -> HpsV3:
    """Load HPSv3.safetensors with the configuration and tokenizer of the companion `base` (Qwen2-VL-7B-Instruct).

    `options`: dtype = `float32` or `official`, see `body_dtype`.
    Raises ModelNotFound without that companion, InfrastructureError naming the file or folder that does not fit.
    """
    check_device(device)
    if "base" not in files.companions:
        raise ModelNotFound(
            f"hpsv3 {str(files.checkpoint)!r} lacks its base model's configuration and tokenizer: put those of "
            "Qwen/Qwen2-VL-7B-Instruct into the folder base/ beside it."
        )
    base = files.companions["base"]
    conversation = read_conversation(base)
    weights = read_weights(files.checkpoint, base, body_dtype(options["dtype"], device), device)
    if conversation.reward_id >= weights.vocabulary:
        raise InfrastructureError(
            f"hpsv3 base folder {str(base)!r} does not fit {str(files.checkpoint)!r}: its tokenizer gives <|Reward|> "
            f"the id {conversation.reward_id}, the file has {weights.vocabulary} embeddings."
        )
    return HpsV3(faster_on_cpu(weights.body), weights.head, conversation)


class _PrefixComplete(Exception):
    """Everything that later tokens will look at is known."""


class _PrefixCache(DynamicCache):
    """Ends the forward pass once the last layer's keys and values are there: nobody asks what it makes of them."""

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        kept = super().update(key_states, value_states, layer_idx, *args, **kwargs)
        if layer_idx == len(self.layers) - 1:
            raise _PrefixComplete
        return kept


def _positions(rows: int, start: int, length: int) -> Tensor:
    """Positions for the three rotary axes, (3, rows, length), all counted as in a plain text.

    Qwen2-VL would give the tokens of an image their row and column, but the official code never passes it the grid,
    and the model was trained that way.
    """
    return torch.arange(start, start + length).expand(3, rows, -1)


def _rung(text: HpsV3Text) -> int:
    # Padding costs what tokens cost: texts share a pass when the longest is at most a fifth longer than the shortest.
    return int(math.log(len(text.ids), 1.2))


def _groups(sizes: Sequence[Hashable]) -> list[list[int]]:
    """Positions of equal sizes, in the order of first appearance."""
    groups: dict[Hashable, list[int]] = {}
    for row, size in enumerate(sizes):
        groups.setdefault(size, []).append(row)
    return list(groups.values())
