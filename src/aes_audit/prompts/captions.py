"""Base captions: from COCO annotation files, text files and data sets on the hub. Each with an id that its words make.

Source: PROTOCOL section 3, "Base captions".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from aes_audit.errors import InvalidPrompts
from aes_audit.prompts.lexicon import words
from aes_audit.weights.source import file_at

__all__ = ["Caption", "Captions", "read_captions"]

_HUB = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>[^:\s]+))?:(?P<column>.+)")
_HALF = re.compile(r"[\ud800-\udfff]")
_FORMS = "a COCO file captions_*.json, a text file *.txt with a caption per line, or a data set owner/name:column"


@dataclass(frozen=True, slots=True)
class Caption:
    """One base caption."""

    text: str
    """Its words, white space made single."""
    place: str
    """Where it stands in its source, for people."""
    group: str
    """What it describes: captions of one photograph share it, and at most one of them is taken."""

    @property
    def id(self) -> str:
        """A name that depends on nothing but the text: its first words, and ten digits of its SHA-256."""
        start = "-".join(re.sub(r"[^a-z0-9]", "", word) for word in words(self.text)[:4] if word.isascii())
        return f"{start or 'caption'}-{sha256(self.text.encode()).hexdigest()[:10]}"


@dataclass(frozen=True, slots=True)
class Captions:
    """All captions of a source."""

    captions: tuple[Caption, ...]
    """In the source's order."""
    provenance: Mapping[str, str]
    """What the source is: its name without folders, and a digest or commit."""


def read_captions(source: str, files: str | None = None) -> Captions:
    """The captions of a file, or of a column of a data set on the hub; `files` is a pattern of the data set's files.

    Raises InvalidPrompts naming the source and the entry, ModelNotFound for a data set that cannot be fetched.
    """
    path = file_at(source, Path())
    hub = _HUB.fullmatch(source) if path is None else None
    if hub:
        from aes_audit.prompts.captions_hub import hub_texts

        texts, provenance = hub_texts(hub["repo"], hub["revision"], hub["column"], files)
        return _captions(source, ((text, place, place) for place, text in texts), provenance)
    if files is not None:
        raise InvalidPrompts(f"--caption-files {files!r} belongs to a data set on the hub; {source!r} is none.")
    path, readers = path or Path(source), {".json": _coco, ".txt": _lines}
    if path.suffix.lower() not in readers:
        raise InvalidPrompts(f"captions {source!r}: give {_FORMS}.")
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InvalidPrompts(f"captions {source!r} cannot be read: {said}.") from error
    provenance = {"captions": path.name, "captions_sha256": sha256(content).hexdigest()}
    return _captions(source, readers[path.suffix.lower()](source, text), provenance)


def _captions(source: str, found: Iterator[tuple[str, str, str]], provenance: Mapping[str, str]) -> Captions:
    captions = tuple(Caption(" ".join(text.split()), place, group) for text, place, group in found if text.strip())
    for caption in captions:
        if _HALF.search(caption.text):
            raise InvalidPrompts(f"captions {source!r}, {caption.place}: holds half of a character: {caption.text!r}.")
    if not captions:
        raise InvalidPrompts(f"captions {source!r}: holds no caption.")
    return Captions(captions, provenance)


def _lines(source: str, text: str) -> Iterator[tuple[str, str, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        yield line, f"line {number}", f"line {number}"


def _coco(source: str, text: str) -> Iterator[tuple[str, str, str]]:
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidPrompts(f"captions {source!r}: not JSON ({getattr(error, 'msg', error)}).") from error
    annotations = raw.get("annotations") if isinstance(raw, dict) else None
    if not isinstance(annotations, list):
        raise InvalidPrompts(f"captions {source!r}: no COCO file: it has no list 'annotations'; give {_FORMS}.")
    for number, annotation in enumerate(annotations):
        where = f"captions {source!r}, annotation {number} from 0"
        caption = _key(where, annotation, "caption", str)
        image, own = _key(where, annotation, "image_id", int), _key(where, annotation, "id", int)
        yield caption, f"annotation {own} of image {image}", f"image {image}"


def _key(where: str, annotation: Any, key: str, kind: type) -> Any:
    value = annotation.get(key) if isinstance(annotation, dict) else None
    if type(value) is not kind:
        noun = "a text" if kind is str else "a whole number"
        hint = " (instances_*.json and its like hold no captions)" if key == "caption" else ""
        raise InvalidPrompts(f"{where}: {key!r} must be {noun}, found {value!r}{hint}.")
    return value
