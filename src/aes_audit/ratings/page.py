"""The page that a rater opens: one HTML file that loads nothing but the pictures beside it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["html_page"]

_HERE = Path(__file__).parent
_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def html_page(data: Mapping[str, Any]) -> str:
    """The page for one rater's data, which it takes as JSON out of itself; see `folders.page_data` for its form.

    Its policy allows this very script and style and pictures from the same place, and nothing else: no page that is
    opened from a disk can be reached, or send an answer anywhere.
    """
    style, script = (_part(name) for name in ("page.css", "page.js"))
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src 'self' file: data:; "
        f"style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    )
    parts = {"policy": policy, "style": style, "script": script, "sheet": _safe_json(data)}
    # In one pass, so that nothing that looks like a place within a text is filled in.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _part("page.html"))


def _part(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _safe_json(data: Mapping[str, Any]) -> str:
    """JSON that cannot end the element it stands in, whatever its texts hold."""
    text = json.dumps(data, ensure_ascii=True)
    return "".join(_ESCAPED.get(letter, letter) for letter in text)
