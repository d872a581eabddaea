"""The tensors of a pickled module, read without importing or running anything that the pickle names.

MPS is published as a pickled module and copies of HPS v1 carry extra objects, which torch's weights-only reader
refuses. Here a pickle is a description: its tensor calls become records, every other global becomes an inert stub,
and tensors are made from the records afterwards, within the bounds of the bytes in the file. Torch's own check is off
on this path, so the closed table `_ALLOWED` is the whole defence. Time is not bounded: a crafted file can still hang.
"""

from __future__ import annotations

import io
import pickle
import re
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor

from aes_audit.errors import InfrastructureError, ModelNotFound, UnsafeWeights
from aes_audit.weights.loading import first_line
from aes_audit.weights.pickle_archive import Archive, Extent, foreign_globals, is_torchscript, open_archive

__all__ = ["read_pickled_tensors"]

_DAMAGE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    struct.error,
    OSError,
    EOFError,
    MemoryError,
    RecursionError,
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    ImportError,
)
_DEPTH = 100
_NODES = 1_000_000


def read_pickled_tensors(file: Path, unwrap: Sequence[str] = ("state_dict", "model")) -> dict[str, Tensor]:
    """The state dict of a pickled module or dictionary, on the CPU, in the dtypes of the file.

    A module's parameters, persistent buffers and sub-modules are walked; in a dictionary, the first key of `unwrap`
    that is there is opened. Tensors may share memory where the module's did.
    Raises ModelNotFound for a missing file, UnsafeWeights for a pickle that would call something when it is loaded
    in the ordinary way (or holds only objects of other code), and InfrastructureError for a damaged file.
    """
    if not file.is_file():
        raise ModelNotFound(f"weight file {str(file)!r} does not exist: check the path.")
    try:
        if is_torchscript(file):
            raise UnsafeWeights(f"{str(file)!r} is a TorchScript archive, which carries code: give a file of tensors.")
        archive = open_archive(file)
        _refuse_big_endian(archive.platform())
        tensors = _tensors(archive, unwrap)
    except _Refused as refused:
        raise UnsafeWeights(
            f"{str(file)!r} was not loaded: as an ordinary pickle it would call {refused.name}. "
            "Take the authors' own file, or save its tensors as safetensors where you trust it."
        ) from refused
    except _DAMAGE as error:
        raise InfrastructureError(
            f"{str(file)!r} cannot be read: {first_line(error)}. "
            f"Is the file complete ({file.stat().st_size:,} bytes), and a file of torch.save?"
        ) from error
    if not tensors:
        raise _empty(file)
    return tensors


def _empty(file: Path) -> UnsafeWeights | InfrastructureError:
    if foreign := foreign_globals(file):
        return UnsafeWeights(f"{str(file)!r} was not loaded: it holds no tensors, but names {foreign[0]}.")
    return InfrastructureError(f"{str(file)!r} holds no named tensors: is it the right file?")


class _Refused(Exception):
    """Something foreign would have been called."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


# ---- what a pickle can get hold of. Nothing here can be changed by it: no attribute of these can be set.


class _Kind(NamedTuple):
    """Stands in for a storage class."""

    dtype: torch.dtype


class _Storage(NamedTuple):
    """Stands in for a storage: where its elements are, and how many it claims."""

    key: str
    dtype: torch.dtype
    items: int


class _Record(NamedTuple):
    """Stands in for a tensor: a view of a storage, as the pickle claims it; checked before it becomes one."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _Table(dict[Any, Any]):
    """Stands in for an OrderedDict; the attributes that torch hangs on state dicts are dropped."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        pass


class _Allowed:
    """Stands in for a function on the allow-list: calls our own, and cannot be altered."""

    __slots__ = ("_call",)
    _call: Callable[..., object]

    def __init__(self, call: Callable[..., object]) -> None:
        object.__setattr__(self, "_call", call)

    def __call__(self, *arguments: object) -> object:
        return self._call(*arguments)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"it tries to set {name}")


class _ForeignType(type):
    """The type of stubs: a call of one is refused, unless it can only be meant to make a value."""

    full_name: str

    def __call__(cls, *arguments: object, **named: object) -> object:
        # A class instance in a pickle does not come through here (NEWOBJ), a function call does (REDUCE).
        if not _VALUES.fullmatch(cls.full_name):
            raise _Refused(cls.full_name)
        return super().__call__(*arguments, **named)

    def __setattr__(cls, name: str, value: object) -> NoReturn:
        raise AttributeError(f"it tries to set {name}")


class _Foreign:
    """An instance of something foreign: keeps its state, does nothing."""

    full_name = ""
    state: object = None

    def __new__(cls, *arguments: object, **named: object) -> _Foreign:
        return object.__new__(cls)

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __call__(self, *arguments: object, **named: object) -> NoReturn:
        raise _Refused(f"a product of {self.full_name}")

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, item: object) -> None:
        """Drop an element of a foreign list."""

    def extend(self, items: object) -> None:
        """Drop elements of a foreign list."""

    def add(self, item: object) -> None:
        """Drop an element of a foreign set."""


def _tensor(storage: _Storage, offset: int, size: Sequence[int], stride: Sequence[int], *rest: object) -> _Record:
    if not isinstance(storage, _Storage):
        raise ValueError("a tensor without a storage")
    record = _Record(storage, offset, tuple(size), tuple(stride))
    _check(record)
    return record


def _parameter(data: _Record, *rest: object) -> _Record:
    if not isinstance(data, _Record):
        raise ValueError("a parameter without a tensor")
    return data


def _check(record: _Record) -> None:
    """Raise ValueError for a view that reaches outside its storage or repeats it to a larger size."""
    numbers = (record.offset, *record.size, *record.stride)
    if not all(type(number) is int and 0 <= number < 2**62 for number in numbers):
        raise ValueError(f"a tensor of size {record.size[:8]} and stride {record.stride[:8]}")
    if len(record.size) != len(record.stride) or len(record.size) > 16:
        raise ValueError(f"a tensor of {len(record.size)} sizes and {len(record.stride)} strides")
    items, last = 1, record.offset
    for side, step in zip(record.size, record.stride, strict=True):
        items *= side
        last += max(side - 1, 0) * step
    if record.offset > record.storage.items or (items and last >= record.storage.items):
        raise ValueError(f"a tensor of size {record.size} outside its {record.storage.items} stored elements")
    if items > record.storage.items:
        raise ValueError(f"a tensor of size {record.size} from {record.storage.items} stored elements")


_KINDS: Mapping[str, torch.dtype] = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_ALLOWED: Mapping[str, object] = {
    "torch._utils._rebuild_tensor": _Allowed(_tensor),
    "torch._utils._rebuild_tensor_v2": _Allowed(_tensor),
    "torch._utils._rebuild_parameter": _Allowed(_parameter),
    "torch._utils._rebuild_parameter_with_state": _Allowed(_parameter),
    "torch.Size": _Allowed(lambda sides=(): tuple(sides)),
    "collections.OrderedDict": _Allowed(lambda items=(): _Table(items)),
    "builtins.set": _Allowed(lambda items=(): set(items)),
    "__builtin__.set": _Allowed(lambda items=(): set(items)),
    **{f"{module}.{name}": _Kind(dtype) for name, dtype in _KINDS.items() for module in ("torch", "torch.cuda")},
}
# Foreign, so stubs like all others, but their call is no reason to refuse a file: they only make values.
_VALUES = re.compile(
    r"torch\.(device|Generator)|functools\.partial|operator\.getitem|copy_?reg\._reconstructor|uuid\.UUID"
    r"|collections\.(defaultdict|Counter|deque)|datetime\.(datetime|date|timedelta)|pathlib\.\w*Path"
    r"|numpy\.(dtype|ndarray)|numpy\._?core\.multiarray\.(scalar|_reconstruct)"
    r"|(transformers|omegaconf|accelerate|einops|trainer)\.([a-z_0-9]+\.)*[A-Z]\w*"
)


class _Reader(pickle.Unpickler):
    """An unpickler that can only reach the table and stubs."""

    def __init__(self, program: bytes) -> None:
        super().__init__(io.BytesIO(program), encoding="latin-1")
        self._stubs: dict[str, type] = {}
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """The allowed stand-in of that exact dotted name, else a stub; nothing is imported or looked up."""
        full_name = f"{module}.{name}"
        if full_name in _ALLOWED:
            return _ALLOWED[full_name]
        if full_name not in self._stubs:
            self._stubs[full_name] = _ForeignType("Foreign", (_Foreign,), {"full_name": full_name})
        return self._stubs[full_name]

    def persistent_load(self, pid: Any) -> Any:
        """A storage, or (before torch 1.6) the class of a module, which came with its source code."""
        if not isinstance(pid, tuple) or len(pid) not in (4, 5, 6) or pid[0] not in ("storage", "module"):
            raise ValueError("a persistent id of an unknown kind")
        if pid[0] == "module":
            return pid[1]
        _, kind, key, _, items, *view = pid
        if not isinstance(kind, _Kind) or type(key) is not str or type(items) is not int or not 0 <= items < 2**48:
            raise ValueError(f"a storage of {type(kind).__name__} with {items!r} elements")
        storage = _Storage(key, kind.dtype, items)
        if view not in ([], [None]) or self.storages.setdefault(key, storage) != storage:
            raise ValueError(f"storage {key!r} is described in two ways")
        return storage


# ---- from records to tensors


def _tensors(archive: Archive, unwrap: Sequence[str]) -> dict[str, Tensor]:
    reader = _Reader(archive.program())
    root = reader.load()
    records = dict(_records(_unwrapped(root, unwrap), "", iter(range(_NODES))))
    wanted = {key: Extent(kept.items, kept.dtype.itemsize) for key, kept in reader.storages.items()}
    elements = {
        key: torch.frombuffer(raw, dtype=reader.storages[key].dtype)
        if raw
        else torch.empty(0, dtype=reader.storages[key].dtype)
        for key, raw in archive.storages(wanted).items()
    }
    return {
        name: elements[record.storage.key].as_strided(record.size, record.stride, record.offset)
        for name, record in records.items()
    }


def _unwrapped(root: object, keys: Iterable[str]) -> object:
    for key in keys:
        if isinstance(root, dict) and isinstance(inner := dict.get(root, key), (dict, _Foreign)):
            return inner
    return root


def _records(node: object, prefix: str, budget: Iterator[int]) -> Iterator[tuple[str, _Record]]:
    """Names and records below a module (its state) or a dictionary of tensors."""
    # Modules may be shared or even contain themselves; the budget ends both.
    if prefix.count(".") > _DEPTH or next(budget, None) is None:
        raise ValueError("its modules are nested without end")
    if not isinstance(node, _Foreign):
        yield from ((f"{prefix}{name}", value) for name, value in _entries(node) if isinstance(value, _Record))
        return
    state = node.state[0] if isinstance(node.state, tuple) and node.state else node.state
    parts = dict(_entries(state))
    passing = parts.get("_non_persistent_buffers_set")
    hidden = passing if isinstance(passing, set) else set()
    for group in ("_parameters", "_buffers"):
        for name, value in _entries(parts.get(group)):
            if isinstance(value, _Record) and not (group == "_buffers" and name in hidden):
                yield f"{prefix}{name}", value
    for name, child in _entries(parts.get("_modules")):
        yield from _records(child, f"{prefix}{name}.", budget)


def _entries(table: object) -> list[tuple[str, object]]:
    return [(name, value) for name, value in dict.items(table) if type(name) is str] if isinstance(table, dict) else []


def _refuse_big_endian(platform: bytes | None) -> None:
    if platform is not None:
        facts = _Reader(platform).load()
        if isinstance(facts, dict) and facts.get("little_endian") is False:
            raise ValueError("its numbers are big-endian")
