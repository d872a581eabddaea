"""What the tokenizers of a pipeline make of a prompt: tokens, limit, and whether a part of it was not read (R9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aes_audit.generators.guidance import call_value

__all__ = ["prompt_notes"]

_NO_LIMIT = 10**6
# Of Qwen-Image, whose first tokens are the frame around the prompt.
_FRAME = "prompt_template_encode_start_idx"


def prompt_notes(pipeline: Any, call: Mapping[str, Any], prompt: str, *, chunked: bool) -> dict[str, Any]:
    """`encoders`: tokenizer -> tokens (with begin and end), limit, truncated, chunked; `complete`: all was read.

    `chunked` says that a prompt beyond the limit is encoded in pieces. Where CLIP stands beside a T5 (Flux, SD3) it
    reads the first 77 tokens at most and T5 carries the text: the prompt is complete when one of them read it all.
    """
    encoders: dict[str, dict[str, Any]] = {}
    for name, tokenizer in sorted(pipeline.components.items()):
        if not name.startswith("tokenizer") or tokenizer is None:
            continue
        tokens, limit = _count(pipeline, tokenizer, prompt), _limit(pipeline, call, name, tokenizer)
        over = limit is not None and tokens > limit
        encoders[name] = {
            "tokens": tokens,
            "limit": limit,
            "truncated": over and not chunked,
            "chunked": over and chunked,
        }
    return {"encoders": encoders, "complete": any(not entry["truncated"] for entry in encoders.values())}


def _count(pipeline: Any, tokenizer: Any, prompt: str) -> int:
    if hasattr(pipeline, _FRAME):
        framed = pipeline.prompt_template_encode.format(prompt)
        return _tokens(tokenizer, _up_to(framed, prompt)) - int(getattr(pipeline, _FRAME))
    if type(pipeline).__name__.startswith("ZImage"):
        turn = [{"role": "user", "content": prompt}]
        framed = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True, enable_thinking=True)
        return _tokens(tokenizer, _up_to(framed, prompt))
    return _tokens(tokenizer, prompt)


def _limit(pipeline: Any, call: Mapping[str, Any], name: str, tokenizer: Any) -> int | None:
    own = int(tokenizer.model_max_length)
    # The tokenizer after the CLIP ones is that of the language model, whose length is an argument of the call.
    last = max(part for part in pipeline.components if part.startswith("tokenizer"))
    asked = call_value(pipeline, call, "max_sequence_length") if name == last else None
    if asked is not None:
        return int(asked)
    return own if own < _NO_LIMIT else None


def _up_to(framed: str, prompt: str) -> str:
    # A language model reads forwards: what stands behind the prompt may be cut without a loss to its words.
    return framed[: framed.rindex(prompt) + len(prompt)]


def _tokens(tokenizer: Any, text: str) -> int:
    # Not verbose: a text beyond the limit is what is being looked for here.
    return len(tokenizer(text, verbose=False).input_ids)
