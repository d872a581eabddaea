"""Writers of wide prompts behind a local host, for the real client: one that follows its instruction by rule."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from endpoints.hosts import Asked, Sent

from aes_audit.prompts.building_output import Output
from aes_audit.prompts.building_request import BuildRequest
from aes_audit.prompts.building_writer import resolve_writer
from aes_audit.prompts.instruction import read_instruction
from aes_audit.prompts.pairs import read_prompt_set

__all__ = [
    "EFFECTS",
    "SAID",
    "asked_for",
    "captions_file",
    "completion",
    "request_for",
    "wide",
    "write",
]

EFFECTS: Mapping[str, str] = read_instruction(extra_effects="forbid", attribute_words="free").effects
"""Dimension -> what the instruction says of it."""

SAID = {
    "background": "before a shabby backdrop",
    "clarity": "everything blurred",
    "color aesthetic": "in clashing pink",
    "color brightness": "as dark as can be",
    "detail realism": "every limb warped",
    "detail refinement": "done in crude strokes",
    "emotion": "a sight full of sorrow",
    "lighting distinction": "where nothing casts a shadow",
    "main object": "no larger than a pea",
    "object pairing": "amid a hodgepodge",
    "richness": "and the rest was never finished",
}
"""Dimension -> words that tell a reader of it, and of no other."""


def asked_for(asked: Asked) -> tuple[str, list[str]]:
    """Caption and dimensions, read out of a request as a model would have to."""
    text = asked.prompt
    found = re.search(r"The caption of a photograph:\n(?P<caption>.*)\n", text)
    assert found, text
    lines = text.split("\n")
    return found["caption"], [name for name, effect in EFFECTS.items() if effect in lines]


def wide(caption: str, dimensions: list[str]) -> str:
    """A wide prompt that passes every check: the caption, and for each dimension its words and some of its own."""
    digits = sha256(" ".join((caption, *dimensions)).encode()).hexdigest()
    odd = ["".join("bcdfghjklmnpqrvw"[int(digit, 16)] + "u" for digit in digits[i : i + 4]) for i in range(0, 64, 4)]
    parts = (f"{SAID[name]} {' '.join(odd[3 * i : 3 * i + 3])}" for i, name in enumerate(dimensions))
    return f"{caption} {', '.join(parts)}."


def completion(content: Any, *, finish: str = "stop", **more: Any) -> Sent:
    """A chat completion that says this."""
    message = {"role": "assistant", "content": content, **more.pop("message", {})}
    choice = {"index": 0, "finish_reason": finish, "message": message}
    return Sent({"id": "c", "object": "chat.completion", "model": "writer-001", "choices": [choice], **more})


def write(asked: Asked) -> Sent:
    """What a writer answers that does as it is told."""
    return completion(json.dumps({"prompt": wide(*asked_for(asked))}))


def captions_file(folder: Path, count: int = 300) -> Path:
    """A text file with captions that are fit for pairs."""
    file = folder / "captions.txt"
    file.write_text("".join(f"{pair.original}\n" for pair in read_prompt_set("wide_spectrum").pairs[:count]))
    return file


def request_for(folder: Path, url: str, **changes: Any) -> BuildRequest:
    """A small build with a host."""
    usual: dict[str, Any] = {
        "captions": str(captions_file(folder)),
        "output": Output(folder / "mine.jsonl"),
        "writer": resolve_writer(f"openai:writer@{url}/v1[attempts=3,timeout=5]"),
        "count": 6,
        "seed": 7,
    }
    return BuildRequest(**{**usual, **changes})
