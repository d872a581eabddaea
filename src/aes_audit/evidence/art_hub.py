"""Artworks of a data set on the hub, at one commit: Parquet files with the pictures inside, or files beside a table.

SOURCE  = "hub:" OWNER "/" NAME [ "@" REVISION ] [ "[" OPTION { "," OPTION } "]" ]
OPTION  = ( "image" | "caption" | "artist" | "style" | "year" ) "=" COLUMN | "files" "=" PATTERN
        | "captions" "=" FILE | "control" "=" FOLDER
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import PurePosixPath

from aes_audit.errors import UsageError
from aes_audit.evidence.art_columns import SYNONYMS, cell_text, chosen_columns
from aes_audit.evidence.art_pictures import ENDINGS, FilePicture, Picture
from aes_audit.evidence.keys import JSON
from aes_audit.weights.data_set import DataSet, find_data_set

__all__ = ["HubSource", "HubWork", "HubWorks", "parse_hub", "read_hub"]

_SOURCE = re.compile(
    r"hub:(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>[^\[\]\s]+))?(?:\[(?P<options>[^\[\]]*)\])?"
)
_OPTIONS = (*SYNONYMS, "files", "captions", "control")
_TABLES = ("metadata.csv", "metadata.jsonl")


@dataclass(frozen=True, slots=True)
class HubSource:
    """A SOURCE taken apart; nothing is looked up yet."""

    repo: str
    """`owner/name`."""
    revision: str | None
    """Branch, tag or commit; None is the default branch."""
    options: Mapping[str, str]
    """As typed."""

    def pinned(self, commit: str) -> str | None:
        """The SOURCE with the commit written out; None where it names the commit itself."""
        if self.revision == commit:
            return None
        options = ",".join(f"{name}={value}" for name, value in self.options.items())
        return f"hub:{self.repo}@{commit}{f'[{options}]' if options else ''}"

    @property
    def columns(self) -> Mapping[str, str]:
        """What is named outright: what we call it -> its column."""
        return {name: column for name, column in self.options.items() if name in SYNONYMS}


@dataclass(frozen=True, slots=True)
class HubWork:
    """One row."""

    id: str
    """Unique in the data set."""
    picture: Picture
    """Not decoded yet."""
    cells: Mapping[str, str | None]
    """caption, artist, style and year, as far as the data set has them."""


@dataclass(frozen=True, slots=True)
class HubWorks:
    """A data set with all that it says about its works."""

    name: str
    """Repository and the beginning of its commit."""
    works: tuple[HubWork, ...]
    """In its order."""
    provenance: Mapping[str, JSON]
    """Repository, commit, and which columns were taken for what."""


def parse_hub(named: str) -> HubSource:
    """Take a SOURCE apart; raises UsageError for one that does not follow the grammar."""
    match = _SOURCE.fullmatch(named)
    if match is None:
        raise UsageError(f"art {named!r} is not understood: write hub:OWNER/NAME[@REVISION], then [option=value,...].")
    options: dict[str, str] = {}
    for part in filter(None, map(str.strip, (match["options"] or "").split(","))):
        name, _, value = (word.strip() for word in part.partition("="))
        if name not in _OPTIONS or not value or name in options:
            raise UsageError(f"art {named!r}: {part!r} is none of the options {', '.join(_OPTIONS)}, each once.")
        options[name] = value
    return HubSource(match["repo"], match["revision"], options)


def read_hub(source: HubSource) -> HubWorks:
    """Fetch a data set into the hub cache and read what it says about its works, but no picture.

    Raises ModelNotFound for what cannot be fetched, UsageError for a data set of another layout.
    """
    found, pattern = find_data_set(source.repo, source.revision), source.options.get("files")
    parquet, images = found.ending([".parquet"], pattern), found.ending(ENDINGS, pattern)
    tables = [name for name in found.files if PurePosixPath(name).name in _TABLES]
    # Image files beside rows and without a table are figures of the data set's card.
    if parquet and images and tables:
        raise UsageError(f"{found}: has .parquet and image files; choose, for instance with [files=*.parquet].")
    if not parquet and not images:
        raise UsageError(f"{found}: has no .parquet and no image file{f' that fits {pattern!r}' if pattern else ''}.")
    if parquet:
        from aes_audit.evidence.art_hub_rows import works_in_rows

        works, columns = works_in_rows(found, parquet, source.columns)
    else:
        works, columns = _works_in_files(found, images, tables, source.columns)
    if not works:
        raise UsageError(f"{found}: has no rows.")
    if twice := len(works) - len({work.id for work in works}):
        raise UsageError(f"{found}: {twice} pictures have a row already; a work is scored once.")
    chosen: dict[str, JSON] = {"files": pattern} if pattern else {}
    provenance: dict[str, JSON] = {"hub": found.repo, "commit": found.commit, "columns": dict(columns), **chosen}
    return HubWorks(f"{found.repo}@{found.commit[:12]}", tuple(works), provenance)


def _works_in_files(
    found: DataSet, images: Sequence[str], tables: Sequence[str], said: Mapping[str, str]
) -> tuple[list[HubWork], Mapping[str, str]]:
    """The rows of the tables beside the image files, or the files alone where there is no table."""
    from aes_audit.evidence.artworks import table_rows

    # One pattern per ending: the hub client holds every file against every pattern.
    endings = sorted({PurePosixPath(name).suffix for name in images})
    folder = found.fetch([*map(escape, tables), *(f"*{ending}" for ending in endings)])
    if not tables:
        return [HubWork(name, FilePicture(folder / name), {}) for name in images], {}
    works: list[HubWork] = []
    columns: Mapping[str, str] = {}
    known = frozenset(images)
    for table in tables:
        rows = list(table_rows(folder / table, ()))
        there = list(dict.fromkeys(name for row in rows for name in row))
        columns = chosen_columns(f"{found}, {table}", there, said)
        for number, row in enumerate(rows, 1):
            where = f"{found}, {table}, row {number}"
            cells = {role: cell_text(f"{where}: {name}", row.get(name)) for role, name in columns.items()}
            path = str(PurePosixPath(table).parent / (cells.pop("image") or ""))
            if path not in known:
                raise UsageError(f"{where}: {columns['image']} = {path!r} is no image file of the data set.")
            works.append(HubWork(path, FilePicture(folder / path), cells))
    return works, columns
