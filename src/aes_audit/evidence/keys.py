"""Keys of stored things: digests of everything that determines an image or a score.

Texts enter as they are: two spellings of a letter that look alike (composed and decomposed Unicode) are two texts,
because a tokenizer may tell them apart.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

__all__ = ["JSON", "canonical", "digest", "image_key", "item_seed", "score_key"]

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
"""What a record may hold; tuples come back as lists."""

_FORMAT = 1
"""Raised when the meaning of an identity changes, so that no older object is taken for a new one."""


def canonical(value: JSON) -> bytes:
    """The one UTF-8 JSON spelling of a value: sorted keys, no spaces, floats as Python prints them.

    1, 1.0, true and "1" are four values. Raises TypeError on what JSON cannot hold: NaN, infinities, bytes, sets,
    dates, keys that are not text, lone surrogates.
    """
    _refuse_foreign(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise TypeError(f"JSON cannot hold a lone surrogate: {error.object[error.start : error.end]!r}") from None


def digest(identity: Mapping[str, JSON]) -> str:
    """SHA-256 of the canonical JSON, as 64 hex digits. Raises TypeError as `canonical` does."""
    return hashlib.sha256(canonical(identity)).hexdigest()


def image_key(generator: Mapping[str, JSON], text: str, seed: int, source: str | None = None) -> str:
    """Key of the image that a generator of this identity draws from this text and seed.

    `source` is the digest of the picture that it starts from, for an editor.
    """
    identity: dict[str, JSON] = {"image": _FORMAT, "generator": generator, "text": text, "seed": seed}
    if source is not None:
        identity["source"] = source
    return digest(identity)


def score_key(scorer: Mapping[str, JSON], image_sha256: str, queries: Sequence[str | None]) -> str:
    """Key of the answers of a scorer of this identity about an image; the order of the queries counts.

    The image enters by its content: a changed image has no scores yet.
    """
    return digest({"scores": _FORMAT, "scorer": scorer, "image_sha256": image_sha256, "queries": list(queries)})


def item_seed(prompt_set: str, item: str, repeat: int = 0) -> int:
    """The seed shared by all images of an item, in [0, 2**63), whatever the model, batch or worker.

    `repeat` counts the runs of a calibration that draws everything again; 0 is every ordinary run.
    """
    identity: dict[str, JSON] = {"seed": _FORMAT, "prompt_set": prompt_set, "item": item}
    if repeat:
        identity["repeat"] = repeat
    return int(digest(identity)[:16], 16) >> 1


def _refuse_foreign(value: object) -> None:
    if isinstance(value, Mapping):
        for key, part in value.items():
            # json.dumps would turn the keys 1 and "1" into the same text.
            if not isinstance(key, str):
                raise TypeError(f"JSON cannot hold the key {key!r}: keys are texts")
            _refuse_foreign(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            _refuse_foreign(part)
    elif isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise TypeError(f"JSON cannot hold {value!r}")
    elif value is not None and not isinstance(value, (str, int)):
        raise TypeError(f"JSON cannot hold {value!r} of type {type(value).__name__}")


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"JSON cannot hold {value!r}")
