"""Text embeddings, computed once per text: encoded apart from the images and handed to the pipeline."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from aes_audit.generators.guidance import call_value, is_guided
from aes_audit.generators.long_prompts import chunk_count, encode_chunks

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["TextEncoding", "text_encoding"]

_CACHE_BYTES = 32 * 2**20
"""What is remembered of texts: the negative one and those of the last batches. A run asks for most texts once."""

# Arguments of a pipeline call that say something about the text; a model that sets one of them is left to its pipeline.
_TEXTUAL = frozenset({"prompt_2", "prompt_3", "negative_prompt_2", "negative_prompt_3", "clip_skip", "lora_scale"}) | {
    "joint_attention_kwargs",
    "cross_attention_kwargs",
    "attention_kwargs",
}

Parts: TypeAlias = "tuple[Tensor, ...]"
"""Embeddings of one text, each 1 x ..., on the CPU."""


@dataclass(frozen=True, slots=True)
class _Architecture:
    """How one pipeline class encodes texts and takes their embeddings."""

    encode: Callable[[Any, list[str], Mapping[str, Any]], list[Parts]]
    """Pipeline, texts, call -> parts per text."""
    arguments: Callable[[Sequence[Parts], str], dict[str, Any]]
    """Parts per text and a prefix (`` or `negative_`) -> arguments of the call."""
    together: bool = True
    """Whether texts are padded to one length anyway, so that encoding them together changes nothing."""
    always_contrasts: bool = True
    """Whether a guided call has a negative text also where none is given: the empty one."""
    chunks: bool = False
    """Whether longer texts are encoded in pieces."""


class TextEncoding:
    """The text side of one loaded pipeline, with what it has encoded lately."""

    def __init__(self, pipeline: Any, call: Mapping[str, Any], negative: str | None, group: int) -> None:
        """`group`: texts encoded in one go; always as many, so that a text's numbers do not depend on its company."""
        self._architecture = _ARCHITECTURES[_kind(pipeline)]
        self._pipeline = pipeline
        self._call = call
        self._group = group if self._architecture.together else 1
        self._negative = _negative_text(pipeline, call, negative, self._architecture)
        self._zeros = self._negative is None and self._architecture.chunks and is_guided(pipeline, call)
        self._known: OrderedDict[tuple[str, int], Parts] = OrderedDict()
        self._bytes = 0

    @property
    def in_pieces(self) -> bool:
        """Whether a text beyond the limit is encoded in pieces."""
        return self._architecture.chunks

    def length(self, text: str) -> int:
        """Pieces of this text's embedding; only texts of one length fit into one batch."""
        if not self._architecture.chunks:
            return 1
        return max(chunk_count(self._pipeline, said) for said in (text, self._negative or ""))

    def arguments(self, texts: Sequence[str], length: int = 1) -> dict[str, Any]:
        """What the pipeline call gets in place of `prompt` and `negative_prompt`; all texts have this `length`."""
        parts = self._parts(texts, length)
        arguments = self._architecture.arguments(parts, "")
        if self._negative is not None:
            contrast = self._parts([self._negative], length) * len(texts)
            arguments |= self._architecture.arguments(contrast, "negative_")
        elif self._zeros:
            arguments |= {f"negative_{name}": torch.zeros_like(tensor) for name, tensor in arguments.items()}
        device = self._pipeline._execution_device
        return {name: _moved(value, device) for name, value in arguments.items()}

    def _parts(self, texts: Sequence[str], length: int) -> list[Parts]:
        found = {text: self._known[text, length] for text in dict.fromkeys(texts) if (text, length) in self._known}
        absent = [text for text in dict.fromkeys(texts) if text not in found]
        for start in range(0, len(absent), self._group):
            group = absent[start : start + self._group]
            found |= dict(zip(group, self._encode(group, length), strict=False))
        for text, parts in found.items():
            self._remember((text, length), parts)
        return [found[text] for text in texts]

    def _encode(self, group: list[str], length: int) -> list[Parts]:
        if length > 1:
            encoded: list[Parts] = [encode_chunks(self._pipeline, text, length) for text in group]
        else:
            filled = group + [group[-1]] * (self._group - len(group))
            encoded = self._architecture.encode(self._pipeline, filled, self._call)
        # Copies: a row of a batch would keep the whole batch alive.
        return [tuple(tensor.to("cpu", copy=True) for tensor in parts) for parts in encoded[: len(group)]]

    def _remember(self, key: tuple[str, int], parts: Parts) -> None:
        if key not in self._known:
            self._known[key] = parts
            self._bytes += sum(tensor.nbytes for tensor in parts)
        self._known.move_to_end(key)
        while self._bytes > _CACHE_BYTES and len(self._known) > 1:
            _, oldest = self._known.popitem(last=False)
            self._bytes -= sum(tensor.nbytes for tensor in oldest)


def text_encoding(pipeline: Any, call: Mapping[str, Any], negative: str | None, group: int = 1) -> TextEncoding | None:
    """The text side of a pipeline; None where its class, or a setting of the model, leaves the text to the pipeline.

    `negative` is the text to guide away from, `group` the number of texts that are encoded together.
    """
    if _kind(pipeline) not in _ARCHITECTURES or _TEXTUAL & call.keys():
        return None
    return TextEncoding(pipeline, call, negative, group)


def _kind(pipeline: Any) -> str:
    # Image-to-image pipelines read texts as their text-to-image twins do.
    return type(pipeline).__name__.replace("Img2Img", "")


def _negative_text(
    pipeline: Any, call: Mapping[str, Any], negative: str | None, architecture: _Architecture
) -> str | None:
    if not is_guided(pipeline, call):
        return None
    zeros = architecture.chunks and pipeline.config.get("force_zeros_for_empty_prompt")
    return negative if negative is not None or zeros or not architecture.always_contrasts else ""


def _moved(value: Any, device: torch.device) -> Any:
    return [tensor.to(device) for tensor in value] if isinstance(value, list) else value.to(device)


def _rows(*tensors: Tensor) -> list[Parts]:
    return [tuple(tensor[index : index + 1] for tensor in tensors) for index in range(len(tensors[0]))]


def _encode_sd3(pipeline: Any, texts: list[str], call: Mapping[str, Any]) -> list[Parts]:
    states, _, pooled, _ = pipeline.encode_prompt(
        texts, None, None, do_classifier_free_guidance=False, max_sequence_length=_length(pipeline, call)
    )
    return _rows(states, pooled)


def _encode_sdxl(pipeline: Any, texts: list[str], call: Mapping[str, Any]) -> list[Parts]:
    states, _, pooled, _ = pipeline.encode_prompt(texts, do_classifier_free_guidance=False)
    return _rows(states, pooled)


def _encode_flux(pipeline: Any, texts: list[str], call: Mapping[str, Any]) -> list[Parts]:
    states, pooled, _ = pipeline.encode_prompt(texts, max_sequence_length=_length(pipeline, call))
    return _rows(states, pooled)


def _encode_qwen(pipeline: Any, texts: list[str], call: Mapping[str, Any]) -> list[Parts]:
    length = _length(pipeline, call)
    return [(pipeline.encode_prompt([text], max_sequence_length=length)[0],) for text in texts]


def _encode_z_image(pipeline: Any, texts: list[str], call: Mapping[str, Any]) -> list[Parts]:
    states, _ = pipeline.encode_prompt(
        list(texts), do_classifier_free_guidance=False, max_sequence_length=_length(pipeline, call)
    )
    return [(state,) for state in states]


def _length(pipeline: Any, call: Mapping[str, Any]) -> int:
    return int(call_value(pipeline, call, "max_sequence_length"))


def _pooled(parts: Sequence[Parts], prefix: str) -> dict[str, Any]:
    names = (f"{prefix}prompt_embeds", f"{prefix}pooled_prompt_embeds")
    return {name: torch.cat(column) for name, column in zip(names, zip(*parts, strict=True), strict=True)}


def _masked(parts: Sequence[Parts], prefix: str) -> dict[str, Any]:
    states = [part[0][0] for part in parts]
    mask = [torch.ones(len(state), dtype=torch.long) for state in states]
    padded = torch.nn.utils.rnn.pad_sequence
    return {
        f"{prefix}prompt_embeds": padded(states, batch_first=True),
        f"{prefix}prompt_embeds_mask": padded(mask, batch_first=True),
    }


def _listed(parts: Sequence[Parts], prefix: str) -> dict[str, Any]:
    return {f"{prefix}prompt_embeds": [part[0] for part in parts]}


_ARCHITECTURES = {
    "StableDiffusion3Pipeline": _Architecture(_encode_sd3, _pooled),
    "StableDiffusionXLPipeline": _Architecture(_encode_sdxl, _pooled, chunks=True),
    "FluxPipeline": _Architecture(_encode_flux, _pooled, always_contrasts=False),
    "QwenImagePipeline": _Architecture(_encode_qwen, _masked, together=False, always_contrasts=False),
    "ZImagePipeline": _Architecture(_encode_z_image, _listed),
}
"""The pipelines that take embeddings in place of texts, as they are known here; any other reads its prompts itself."""
