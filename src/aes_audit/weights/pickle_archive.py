"""The two containers that torch.save has written, taken apart without unpickling anything."""

from __future__ import annotations

import io
import itertools
import pickletools
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple, Protocol

__all__ = ["Archive", "Extent", "foreign_globals", "is_torchscript", "open_archive"]

# Opcodes that reach for registries or buffers outside the file, or reserve memory before they read it.
_BANNED = {"EXT1", "EXT2", "EXT4", "BYTEARRAY8", "NEXT_BUFFER", "READONLY_BUFFER"}
_STRINGS = {"STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
# Magic number, protocol, platform, the object and the keys of its storages, in this order.
_LEGACY_PICKLES = 5
_MAGIC = 0x1950A86A20F9469CFC6C
_TENSOR_GLOBALS = re.compile(
    r"(__builtin__|builtins)\.set|collections\.(OrderedDict|Counter)|torch\.(Size|device|dtype)"
    r"|torch\.(cuda\.|storage\.)?[A-Za-z0-9]+Storage|torch\.(u?int\d+|q?u?int\d+|b?float\w+|complex\d+|bool|half|double)"
    r"|torch\._utils\._rebuild_\w+|torch\._tensor\._rebuild_from_type_v2|torch\.nn\.parameter\.Parameter"
)


class Extent(NamedTuple):
    """How long a storage must be."""

    items: int
    """Number of elements."""
    width: int
    """Bytes per element."""


class Archive(Protocol):
    """A file of torch.save; every method raises ValueError, EOFError or zipfile.BadZipFile on damage."""

    def program(self) -> bytes:
        """The pickle of the saved object, every opcode of it looked at."""
        ...

    def storages(self, wanted: Mapping[str, Extent]) -> dict[str, bytearray]:
        """The raw little-endian elements of each storage, exactly as long as `wanted` says."""
        ...

    def platform(self) -> bytes | None:
        """The pickle that describes the writing machine, in files before torch 1.6."""
        ...


def open_archive(file: Path) -> Archive:
    """The container of `file`, by its content; raises as the methods of `Archive` do."""
    if zipfile.is_zipfile(file):
        return _Zip(file)
    with file.open("rb") as stream:
        if stream.read(2) == b"PK":
            raise ValueError("its zip archive has no end")
    return _Stream(file)


def is_torchscript(file: Path) -> bool:
    """Whether the file is a TorchScript archive: those carry code beside the tensors."""
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def foreign_globals(file: Path) -> list[str]:
    """The dotted names a pickle refers to, as far as it can be followed, without those that tensors need."""
    names: list[str] = []
    try:
        if zipfile.is_zipfile(file):
            names.extend(_globals(io.BytesIO(_Zip(file).raw_program())))
        else:
            with file.open("rb") as stream:
                for _ in range(_LEGACY_PICKLES):
                    names.extend(_globals(stream))
    except (ValueError, LookupError, EOFError, OSError, zipfile.BadZipFile, struct.error):
        pass  # damage ends the list; whoever loads the file says what is wrong with it
    return [name for name in dict.fromkeys(names) if not _TENSOR_GLOBALS.fullmatch(name)]


class _Zip:
    """The format since torch 1.6: FOLDER/data.pkl and FOLDER/data/KEY, none of them compressed."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._size = file.stat().st_size
        with zipfile.ZipFile(file) as archive:
            programs = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if len(programs) != 1:
                raise ValueError(f"the archive holds {len(programs)} files data.pkl instead of one")
            self._root = programs[0].removesuffix("data.pkl")
            order = self._root + "byteorder"
            if order in archive.namelist() and bytes(self._read(archive, order)).strip() != b"little":
                raise ValueError("its numbers are big-endian")

    def raw_program(self) -> bytes:
        with zipfile.ZipFile(self._file) as archive:
            return bytes(self._read(archive, self._root + "data.pkl"))

    def program(self) -> bytes:
        program = self.raw_program()
        _inspect(io.BytesIO(program))
        return program

    def platform(self) -> None:
        return None

    def storages(self, wanted: Mapping[str, Extent]) -> dict[str, bytearray]:
        # Entries of a crafted archive may overlap, so that many large ones fit into a small file.
        if (total := sum(extent.items * extent.width for extent in wanted.values())) > self._size:
            raise ValueError(f"it claims {total:,} bytes of tensors, more than the file has")
        found: dict[str, bytearray] = {}
        with zipfile.ZipFile(self._file) as archive:
            for key, extent in wanted.items():
                found[key] = self._read(archive, f"{self._root}data/{key}")
                if len(found[key]) != extent.items * extent.width:
                    raise ValueError(f"storage {key!r} has {len(found[key])} bytes for {extent.items} elements")
        return found

    def _read(self, archive: zipfile.ZipFile, name: str) -> bytearray:
        try:
            entry = archive.getinfo(name)
        except KeyError as error:
            raise ValueError(f"the archive lacks {name}") from error
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > self._size:
            raise ValueError(f"{name} is compressed or longer than the file")
        content = bytearray(entry.file_size)
        with archive.open(entry) as stream:
            if stream.readinto(content) != entry.file_size:  # type: ignore[attr-defined]  # typed as IO[bytes]
                raise EOFError(f"{name} is cut short")
        return content


class _Stream:
    """The format before torch 1.6: five pickles, then each storage as its length and its elements."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._pickles: list[bytes] = []
        with file.open("rb") as stream:
            for _ in range(_LEGACY_PICKLES):
                start = stream.tell()
                _inspect(stream)
                end = stream.tell()
                stream.seek(start)
                self._pickles.append(stream.read(end - start))
                if len(self._pickles) == 1 and not _is_magic(self._pickles[0]):
                    break  # a pickle that torch.save did not write; its globals still tell what it is
            self._data = stream.tell()

    def program(self) -> bytes:
        return self._pickles[3] if len(self._pickles) > 1 else self._pickles[0]

    def platform(self) -> bytes | None:
        return self._pickles[2] if len(self._pickles) > 1 else None

    def storages(self, wanted: Mapping[str, Extent]) -> dict[str, bytearray]:
        if not wanted:
            return {}
        if len(self._pickles) == 1:
            raise ValueError("it names storages but holds none")
        found: dict[str, bytearray] = {}
        with self._file.open("rb") as stream:
            stream.seek(self._data)
            left = self._file.stat().st_size - self._data
            for key in _plain_strings(self._pickles[4]):
                if key not in wanted:
                    raise ValueError(f"storage {key!r} belongs to no tensor")
                length = wanted[key].items * wanted[key].width
                left -= 8 + length
                if left < 0:
                    raise EOFError(f"storage {key!r} is cut short")
                if struct.unpack("<q", stream.read(8))[0] != wanted[key].items:
                    raise ValueError(f"storage {key!r} has another length than its tensors say")
                found[key] = bytearray(stream.read(length))
        if lost := wanted.keys() - found.keys():
            raise ValueError(f"storage {min(lost)!r} is missing")
        return found


def _inspect(stream: IO[bytes]) -> None:
    """Follow one pickle to its end; raises ValueError for damage and for opcodes that no tensor file needs."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if opcode.name in _BANNED:
            raise ValueError(f"it uses the pickle opcode {opcode.name}")
        # The unpickler reserves memory up to the highest index.
        if opcode.name in ("PUT", "LONG_BINPUT") and not 0 <= int(argument or 0) <= count + 1:
            raise ValueError(f"it uses memo index {argument} after {count} opcodes")


def _globals(stream: IO[bytes]) -> Iterator[str]:
    """The dotted names of one pickle, each before the opcode that would use it."""
    memo: dict[int, str] = {}
    strings: list[str] = []
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name in _STRINGS:
            strings.append(str(argument))
        elif opcode.name in ("GLOBAL", "INST"):
            yield str(argument).replace(" ", ".")
        elif opcode.name == "STACK_GLOBAL" and len(strings) > 1:
            yield ".".join(strings[-2:])
        elif opcode.name == "MEMOIZE" or opcode.name.endswith("PUT"):
            # Every object takes an index, but only the strings matter here.
            memo[len(memo) if opcode.name == "MEMOIZE" else int(argument or 0)] = strings[-1] if strings else ""
        elif opcode.name.endswith("GET"):
            strings.append(memo.get(int(argument or 0), ""))


def _is_magic(program: bytes) -> bool:
    return any(argument == _MAGIC for _, argument, _ in itertools.islice(pickletools.genops(program), 5))


def _plain_strings(program: bytes) -> list[str]:
    return [str(argument) for opcode, argument, _ in pickletools.genops(program) if opcode.name in _STRINGS]
