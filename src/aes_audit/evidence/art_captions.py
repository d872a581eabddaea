"""Factual captions of artworks by a vision-language model behind an endpoint. Source: PROTOCOL section 7, real art.

Every answer is kept in a journal beside the table at once, under the picture, the model and the instruction: a run that
was cut short, or a second one, asks only for what is missing.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aes_audit.endpoints.budget import Budget
from aes_audit.endpoints.caller import Caller
from aes_audit.endpoints.extras import needing
from aes_audit.endpoints.keys import find_key
from aes_audit.endpoints.payload import Payload, charged, dig
from aes_audit.errors import AesAuditError, InfrastructureError, UsageError
from aes_audit.evidence.art_hub import parse_hub, read_hub
from aes_audit.evidence.art_pictures import ENDINGS, FilePicture, Picture, Unreadable
from aes_audit.evidence.artworks import COLUMNS, table_in, table_rows
from aes_audit.evidence.keys import digest

if TYPE_CHECKING:
    from PIL.Image import Image

    from aes_audit.prompts.building_writer import Writer

__all__ = ["INSTRUCTION", "MAX_WORDS", "Captioned", "caption_works"]

INSTRUCTION = (
    "Say what this picture shows, in one or two sentences of at most 60 words. Name who or what is in it, where it is "
    "and what it is doing, and what anyone can see of colours, light, shapes and technique. State only what is "
    "visible: no artist, title or period, no mood or meaning, no praise and no criticism. Answer with the description "
    "alone."
)
"""Our own wording of the paper's request: factual, without interpretation."""

MAX_WORDS = 90
"""A longer answer did not do what was asked and is turned down."""

JOURNAL = "captions.journal"

_TABLE = "works.jsonl"
_SIDE = 1024


@dataclass(frozen=True, slots=True)
class Captioned:
    """What became of a folder."""

    table: Path
    """The table that was written."""
    written: int
    """Works that have a caption now and had none."""
    left_out: Mapping[str, str]
    """Works without one -> why."""


def caption_works(folder: Path, writer: Writer, budget: Budget, of: str | None = None) -> Captioned:
    """Give a caption to every work of a folder that has none, or of a data set on the hub.

    The folder's table is completed in place; without one, `works.jsonl` lists every image file. With `of`, a
    `hub:OWNER/NAME`, the folder is made and its `works.jsonl` lists the works of which the data set has no caption.
    Raises UsageError, ModelNotFound, InfrastructureError when the host fails for good, and BudgetSpent; what was
    answered until then is kept.
    """
    if of is None and not folder.is_dir():
        raise UsageError(f"{folder}: no such folder.")
    table, rows, pictures = _listed(folder) if of is None else _of_data_set(folder, of)
    asked = [row for row in rows if not str(row.get("caption") or "").strip()]
    captioner = _Captioner(folder, writer, budget)
    names = [str(row.get("image") or "") for row in asked]
    found = captioner.answers([(name, pictures.get(name) or FilePicture(folder / name)) for name in names])
    left_out = {}
    for row, answer in zip(asked, found, strict=True):
        if isinstance(answer, str):
            row["caption"] = answer
        else:
            left_out[str(row.get("image"))] = str(answer)
    _write(table, rows)
    if captioner.stopped is not None:
        raise captioner.stopped
    return Captioned(table, len(asked) - len(left_out), left_out)


def _listed(folder: Path) -> tuple[Path, list[dict[str, Any]], Mapping[str, Picture]]:
    if any(path.suffix.lower() in (".csv", ".jsonl") for path in folder.iterdir()):
        table = table_in(folder)
        return table, [dict(row) for row in table_rows(table)], {}
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in ENDINGS and path.relative_to(folder).parts[0] != "control"
    )
    if not names:
        raise UsageError(f"{folder}: has neither a table nor image files.")
    return folder / _TABLE, [{"image": name} for name in names], {}


def _of_data_set(folder: Path, named: str) -> tuple[Path, list[dict[str, Any]], Mapping[str, Picture]]:
    works = read_hub(parse_hub(named)).works
    silent = {work.id: work.picture for work in works if not work.cells.get("caption")}
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / _TABLE
    known = {row.get("image"): dict(row) for row in table_rows(table)} if table.is_file() else {}
    return table, [known.get(name) or {"image": name} for name in silent], silent


class _Captioner:
    """An open connection, and the journal of what was answered."""

    def __init__(self, folder: Path, writer: Writer, budget: Budget) -> None:
        with needing("openai"):
            from aes_audit.endpoints.openai_session import OpenAISession

            self._session = OpenAISession(writer.address, find_key(writer.address), writer.limits.timeout)
        self._caller = Caller(writer.model, writer.limits, price=writer.price or 0.0, budget=budget)
        self._journal = folder / JOURNAL
        self._writer = writer
        self._lock = threading.Lock()
        self._known = _read_journal(self._journal)
        self.stopped: AesAuditError | None = None

    def answers(self, works: Sequence[tuple[str, Picture]]) -> list[str | AesAuditError]:
        """A caption per name and picture, or why there is none."""
        found = self._caller.map(self._caption, works)
        broken = (each for each in found if isinstance(each, AesAuditError) and not isinstance(each, _Fault))
        self.stopped = next(broken, None)
        return found

    def _caption(self, work: tuple[str, Picture]) -> str | AesAuditError:
        """The caption; what is wrong with this work alone is returned and not raised, so that it stops no other."""
        image, picture = work
        try:
            key = self._key(picture.key())
            if key in self._known:
                return self._known[key]
            url = _data_url(picture.open())
        except Unreadable as error:
            return _Fault(str(error))
        payload = self._caller.call(lambda: self._asked(url), cost=charged)
        caption, fault = _read(payload)
        if fault:
            return _Fault(fault)
        with self._lock, open(self._journal, "a", encoding="utf-8") as journal:
            journal.write(json.dumps({"key": key, "image": image, "caption": caption}) + "\n")
        return caption

    def _key(self, picture: str) -> str:
        model = {"model": self._writer.model, "endpoint": self._writer.address.url}
        return digest({"caption": picture, "instruction": INSTRUCTION, **model})

    def _asked(self, url: str) -> Payload:
        content = [{"type": "text", "text": INSTRUCTION}, {"type": "image_url", "image_url": {"url": url}}]
        options = {} if self._writer.temperature is None else {"temperature": self._writer.temperature}
        return self._session.chat(self._writer.model, [{"role": "user", "content": content}], **options)


class _Fault(AesAuditError):
    """Why one work has no caption."""


def _read(payload: Payload) -> tuple[str, str]:
    """The caption in an answer, or what is wrong with it."""
    choice = dig(payload, "choices", 0)
    if dig(choice, "finish_reason") == "content_filter" or dig(choice, "message", "refusal"):
        return "", "the model refused"
    text = dig(choice, "message", "content")
    caption = " ".join(text.split()).strip("\"'“”` ") if isinstance(text, str) else ""
    if not caption or dig(choice, "finish_reason") == "length":
        return "", "the answer was cut off" if caption else "the answer was empty"
    if (words := len(caption.split())) > MAX_WORDS:
        return "", f"the answer has {words} words, more than {MAX_WORDS}"
    return caption, ""


def _data_url(image: Image) -> str:
    image.thumbnail((_SIDE, _SIDE))
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=95)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _read_journal(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    found = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
            found[str(row["key"])] = str(row["caption"])
        except (ValueError, KeyError, TypeError):
            continue  # the last line of a run that was killed
    return found


def _write(table: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    names = list(dict.fromkeys([*(name for row in rows for name in row), *COLUMNS[:2]]))
    stream = io.StringIO()
    if table.suffix.lower() == ".csv":
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    beside = table.with_name(f".{table.name}.part")
    try:
        beside.write_text(stream.getvalue(), encoding="utf-8", newline="")
        os.replace(beside, table)
    except OSError as error:
        raise InfrastructureError(f"{table} cannot be written: {error.strerror}.") from error
