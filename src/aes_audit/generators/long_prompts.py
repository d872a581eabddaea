"""Prompts beyond the 77 tokens of CLIP, for pipelines that read nothing but CLIP (SDXL and its relatives).

A long text is cut into pieces of 75 tokens; each is encoded with its own begin and end like a prompt of its own, and
the states stand one after the other along the sequence, which cross-attention takes at any length. The pooled state is
that of the first piece.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["chunk_count", "encode_chunks"]


def chunk_count(pipeline: Any, text: str) -> int:
    """Pieces that the text needs, at least 1; the tokenizer that needs more of them decides."""
    return max(max(1, -(-len(_words(tokenizer, text)) // _room(tokenizer))) for tokenizer in _tokenizers(pipeline))


def encode_chunks(pipeline: Any, text: str, chunks: int) -> tuple[Tensor, Tensor]:
    """States (1, `chunks` x 77, width) and pooled state (1, width) of the text; empty pieces fill it up.

    The states are those of the layer that StableDiffusionXLPipeline.encode_prompt takes (the last but one), side by
    side for both encoders; a text of one piece gives exactly what that method gives.
    """
    states, pooled = [], None
    for tokenizer, encoder in zip(_tokenizers(pipeline), _encoders(pipeline), strict=True):
        tokens = _pieces(tokenizer, text, chunks).to(pipeline._execution_device)
        output = encoder(tokens, output_hidden_states=True)
        hidden = output.hidden_states[-2]
        states.append(hidden.reshape(1, -1, hidden.shape[-1]))
        if output[0].ndim == 2:
            pooled = output[0][:1]
    if pooled is None:
        raise TypeError(f"no text encoder of the {type(pipeline).__name__} gives a pooled state")
    return torch.cat(states, dim=-1).to(pipeline.text_encoder_2.dtype), pooled


def _pieces(tokenizer: Any, text: str, chunks: int) -> Tensor:
    room, words = _room(tokenizer), _words(tokenizer, text)
    rows = []
    for index in range(chunks):
        row = [tokenizer.bos_token_id, *words[index * room : (index + 1) * room], tokenizer.eos_token_id]
        rows.append(row + [tokenizer.pad_token_id] * (room + 2 - len(row)))
    return torch.tensor(rows)


def _room(tokenizer: Any) -> int:
    return int(tokenizer.model_max_length) - 2


def _words(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False, verbose=False).input_ids)


def _tokenizers(pipeline: Any) -> list[Any]:
    return [part for part in (pipeline.tokenizer, pipeline.tokenizer_2) if part is not None]


def _encoders(pipeline: Any) -> list[Any]:
    return [part for part in (pipeline.text_encoder, pipeline.text_encoder_2) if part is not None]
