"""What the evidence says about an image besides its scores: faults, flags, and how its text was read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aes_audit.evidence.schema import FAULT, FLAGGED, TOKENS, TRUNCATED
from aes_audit.evidence.store import ImageRecord

if TYPE_CHECKING:
    from aes_audit.evidence.generating import ImageJob

__all__ = ["image_columns", "repeats_earlier", "told_apart"]


def told_apart(jobs: Sequence[ImageJob], records: Sequence[ImageRecord]) -> list[ImageRecord]:
    """The records in order, where pictures that answer different texts of different items are missing.

    The same pixels cannot be the answer to both, and nobody knows to which they are: a cache or a service mixed up its
    answers. The two images of one item may be equal, because a generator may ignore what changed in the prompt; such a
    pair is data and flagged `identical_pair`.
    """
    drawn: dict[str, list[ImageJob]] = {}
    for job, record in zip(jobs, records, strict=True):
        if record.sha256 is not None:
            drawn.setdefault(record.sha256, []).append(job)
    return [_told(job, record, drawn.get(record.sha256 or "", ())) for job, record in zip(jobs, records, strict=True)]


def _told(job: ImageJob, record: ImageRecord, drawn: Iterable[ImageJob]) -> ImageRecord:
    for other in drawn:
        if other.item != job.item and other.request.prompt != job.request.prompt:
            reason = f"the same picture was given for another text: image {other.image} of item {other.item}"
            return ImageRecord(record.key, None, reason, {**record.record, "kind": "duplicate", "flags": []})
    if any(other.item == job.item and other.image != job.image for other in drawn):
        return replace(record, record={**record.record, "flags": [*record.flags, "identical_pair"]})
    return record


def repeats_earlier(rows: Iterable[Mapping[str, Any]], seen: dict[str, str]) -> bool:
    """Whether rows hold a picture of another item; `seen` maps its digest to its item, and learns those of `rows`."""
    repeats = False
    for row in rows:
        if sha256 := row.get("image_sha256"):
            repeats |= seen.setdefault(sha256, row["item"]) != row["item"]
    return repeats


def image_columns(record: ImageRecord) -> Mapping[str, Any]:
    """The extra columns of every row about an image: its digest, fault and flags, and how its text was read.

    The columns of the text are there where the generator tells (rule R9).
    """
    columns: dict[str, Any] = {
        "image_sha256": record.sha256,
        FAULT: record.fault,
        FLAGGED: ",".join(record.flags) or None,
    }
    notes = record.record.get("prompt_notes") or {}
    encoders = notes.get("encoders")
    if not encoders:
        return columns
    told = ", ".join(f"{name} {_read(note)}" for name, note in sorted(encoders.items()))
    # Where several encoders read one text, the generator says whether one of them had all of it.
    whole = notes.get("complete", not any(note.get("truncated") for note in encoders.values()))
    return {**columns, TOKENS: told, TRUNCATED: not whole}


def _read(note: Mapping[str, Any]) -> str:
    how = " cut" if note.get("truncated") else " chunked" if note.get("chunked") else ""
    limit = note.get("limit")
    return f"{note.get('tokens')}{'' if limit is None else f'/{limit}'}{how}"
