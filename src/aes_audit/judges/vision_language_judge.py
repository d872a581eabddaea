"""A Qwen3-VL that is asked one question per dimension; J is read from the probabilities of the answers 0, 1 and 2.

What comes first in a user's turn is read once and kept, for attention is causal: in the paper's order each question,
for all images; with the image first each image, for all questions. The vision model sees an image once in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache

from aes_audit.judges.guideline import Guideline, question
from aes_audit.judges.vision_language_images import QwenImageRecipe
from aes_audit.judges.vision_language_passages import Passage, image_passage, joined, text_passage
from aes_audit.judges.vision_language_texts import QwenConversation
from aes_audit.prompts.dimensions import LEVELS
from aes_audit.rewards.memory_batch import MemoryBatch
from aes_audit.rewards.pair_scorer import full_precision

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = ["VisionLanguageJudge"]


class _Read(NamedTuple):
    """What the language model keeps of what it has read: 147 kB per token in bfloat16 for a model of 4B weights."""

    keys: tuple[Tensor, ...]
    """Per layer: rotated keys, (1, key heads, length, head width)."""
    values: tuple[Tensor, ...]
    """Per layer: values, of the same shape."""
    length: int
    """Tokens read."""
    end: int
    """Position of the next token."""


@dataclass(slots=True)
class VisionLanguageJudge:
    """A loaded judge; follows `DimensionJudge`. A score depends neither on the other images nor on the other questions.

    Batches start at the sizes given; one that does not fit into memory is halved, and the smaller size is remembered.
    """

    model: Any
    """A Qwen3VLForConditionalGeneration, in evaluation mode."""
    conversation: QwenConversation
    """The tokens around an image."""
    recipe: QwenImageRecipe
    """How images become patches."""
    guideline: Guideline
    """What the questions say."""
    order: str = "text-first"
    """One of ORDERS."""
    images: MemoryBatch = field(default_factory=lambda: MemoryBatch("images", 8, "judge"))
    """Images per pass of the vision model."""
    pairs: MemoryBatch = field(default_factory=lambda: MemoryBatch("questions", 16, "judge"))
    """Pairs of image and question per pass of the language model; each copies what was read before."""
    _known: dict[str, _Read] = field(default_factory=dict, init=False, repr=False)
    """What was read of a dimension's question, where it comes before the image."""

    def probabilities(self, images: Sequence[Image], dimensions: Sequence[str]) -> NDArray[np.float64]:
        """Softmax over the logits of the tokens "0", "1" and "2" alone: shape (images, dimensions, 3).

        Raises UnknownName for a dimension that the guideline does not have, InfrastructureError where memory is short.
        """
        asked = {
            name: self.conversation.around_image(question(name, self.guideline), self.order) for name in dimensions
        }
        with torch.inference_mode(), full_precision():
            found = self.images.run(images, lambda batch: self._logits(batch, asked))
        logits = torch.stack([torch.stack([answers[name] for name in dimensions]) for answers in found])
        result: NDArray[np.float64] = logits.double().softmax(dim=-1).numpy()
        return result

    def score(self, images: Sequence[Image], dimensions: Sequence[str]) -> NDArray[np.float64]:
        """J = p(1) + 2 p(2), in [0, 2]: shape (images, dimensions). Source: PROTOCOL section 5, "Score"."""
        result: NDArray[np.float64] = self.probabilities(images, dimensions) @ torch.tensor(LEVELS).double().numpy()
        return result

    def read_turns(self, turns: Sequence[tuple[Image, Sequence[str]]]) -> Tensor:
        """Read every image with each of its dimensions, as whole turns: last states, (questions, width), in order.

        The same tokens stand at the same places as where a turn is read in two parts; nothing is kept, so that
        gradients may flow back through all of it.
        """
        rows = []
        for seen, (_, names) in zip(self._see([image for image, _ in turns]), turns, strict=True):
            for name in names:
                before, behind = self.conversation.around_image(question(name, self.guideline), self.order)
                rows.append(joined(self._text(before), joined(seen, self._text(behind))))
        return self._run(rows, None, [0] * len(rows), [0] * len(rows))[:, -1]

    def _logits(
        self, images: Sequence[Image], asked: dict[str, tuple[list[int], list[int]]]
    ) -> list[dict[str, Tensor]]:
        """Per image: dimension -> logits of the three answers."""
        seen = self._see(images)
        # Questions of similar length share passes: where they come last, padding costs as much as words.
        names = sorted(asked, key=lambda name: sum(map(len, asked[name])))
        if self.order == "text-first":
            reads = {name: self._read_question(name, asked[name][0]) for name in names}
            rows = [(reads[name], joined(image, self._text(asked[name][1]))) for name in names for image in seen]
        else:
            opening = self._text(asked[names[0]][0])
            before = self._read([joined(opening, image) for image in seen])
            rows = [(read, self._text(asked[name][1])) for name in names for read in before]
        answers = iter(self.pairs.run(rows, self._answer))
        by_name = {name: [next(answers) for _ in seen] for name in names}
        return [{name: by_name[name][number] for name in names} for number in range(len(seen))]

    def _see(self, images: Sequence[Image]) -> list[Passage]:
        """What the vision model makes of the images, all at once: their tokens, and what deeper layers add to them."""
        body, merge = self.model.model, self.recipe.merge
        pictures = [self.recipe.patches(image) for image in images]
        grid = torch.tensor([[1, picture.rows, picture.columns] for picture in pictures], device=body.device)
        values = torch.cat([picture.values for picture in pictures]).to(body.device, body.dtype)
        seen = body.visual(values, grid_thw=grid, return_dict=True)
        tokens = seen.pooler_output.split(self.recipe.tokens)
        deep = [level.split(self.recipe.tokens) for level in seen.deepstack_features]
        return [
            image_passage(
                tokens[number], [level[number] for level in deep], picture.rows // merge, picture.columns // merge
            )
            for number, picture in enumerate(pictures)
        ]

    def _text(self, ids: Sequence[int]) -> Passage:
        embed = self.model.model.language_model.embed_tokens
        return text_passage(embed(torch.tensor(ids, device=self.model.device)))

    def _read_question(self, dimension: str, ids: Sequence[int]) -> _Read:
        if dimension not in self._known:
            self._known[dimension] = self._read([self._text(ids)])[0]
        return self._known[dimension]

    def _read(self, passages: Sequence[Passage]) -> list[_Read]:
        """Read passages of one length at once, each at the beginning of its turn."""
        cache = DynamicCache(config=self.model.config.text_config)
        self._run(passages, cache, [0] * len(passages), [0] * len(passages))
        layers: Sequence[Any] = cache.layers
        # Copies, since a view would keep the whole batch alive.
        return [
            _Read(
                tuple(layer.keys[row : row + 1].clone() for layer in layers),
                tuple(layer.values[row : row + 1].clone() for layer in layers),
                passage.length,
                passage.advance,
            )
            for row, passage in enumerate(passages)
        ]

    def _answer(self, rows: Sequence[tuple[_Read, Passage]]) -> list[Tensor]:
        """Read the second part of each turn behind its first: logits of "0", "1", "2" at the last token, float32."""
        reads, rest = [read for read, _ in rows], [passage for _, passage in rows]
        cache = DynamicCache(config=self.model.config.text_config)
        longest = max(read.length for read in reads)
        for layer in range(len(reads[0].keys)):
            keys, values = (
                torch.cat([pad(part[layer], (0, 0, longest - part[layer].shape[2], 0)) for part in parts])
                for parts in ([read.keys for read in reads], [read.values for read in reads])
            )
            cache.update(keys, values, layer)
        states = self._run(rest, cache, [read.end for read in reads], [read.length for read in reads])
        answers = self.model.lm_head.weight[list(self.conversation.digits)].float()
        return list((states[:, -1].float() @ answers.T).cpu())

    def _run(
        self, passages: Sequence[Passage], cache: DynamicCache | None, starts: Sequence[int], kept: Sequence[int]
    ) -> Tensor:
        """Last states of (rows, length, width), padded in front; `cache`, if there is one, grows by what is read.

        `starts` is the position at which each passage begins, `kept` how many tokens of its row the cache holds.
        """
        longest, device = max(passage.length for passage in passages), self.model.device
        parts = [passage.padded(longest) for passage in passages]
        embedded, visual, positions = (torch.stack([part[kind] for part in parts]) for kind in range(3))
        positions = positions + torch.tensor(starts, device=device)[:, None, None]
        deep = [torch.cat(level) for level in zip(*(passage.deep for passage in passages), strict=True)]
        states: Tensor = self.model.model.language_model(
            inputs_embeds=embedded,
            attention_mask=_mask(kept, [passage.length for passage in passages], device),
            position_ids=positions.transpose(0, 1),
            past_key_values=cache,
            use_cache=cache is not None,
            visual_pos_masks=visual if deep else None,
            deepstack_visual_embeds=deep or None,
        ).last_hidden_state
        return states


def _mask(kept: Sequence[int], lengths: Sequence[int], device: torch.device) -> Tensor | None:
    """1 where a row has a token, padding being in front of either part; None where every row has one everywhere."""
    parts = []
    for counts in (kept, lengths):
        room = torch.arange(max(counts), device=device).flip(0)
        parts.append(room[None] < torch.tensor(counts, device=device)[:, None])
    mask = torch.cat(parts, dim=1)
    return None if bool(mask.all()) else mask.long()
