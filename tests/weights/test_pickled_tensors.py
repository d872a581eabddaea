"""Pickled modules are read as descriptions: nothing in them is imported, called or altered."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aes_audit.errors import InfrastructureError, ModelNotFound, UnsafeWeights
from aes_audit.weights.pickled_tensors import read_pickled_tensors

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.float16)}
REFUSED = (UnsafeWeights, InfrastructureError)


class Call:
    """Pickles as a call of `function` with `arguments`, and whatever else pickle does to a rebuilt object."""

    def __init__(self, function: Any, *arguments: Any, rest: tuple[Any, ...] = ()) -> None:
        self.reduced = (function, arguments, *rest)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced

    def __call__(self) -> None:
        """Only here because pickle wants what it calls to be callable."""


class Odd(nn.Module):
    """A module with everything that a module can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(3, 2), nn.ModuleDict({"deep": nn.LayerNorm(2)}))
        self.norm = nn.BatchNorm1d(4)
        self.tied = self.inner[0]
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.register_parameter("none", None)
        self.register_buffer("kept", torch.arange(4))
        self.register_buffer("passing", torch.arange(4), persistent=False)
        self.view = nn.Parameter(torch.arange(12.0).reshape(3, 4).T[1:, :2])
        self.config = {"device": torch.device("cpu"), "dtype": torch.float32, "path": Path("x"), "set": {1, 2}}
        self.activation = nn.functional.gelu


def agree(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> bool:
    return found.keys() == wanted.keys() and all(
        torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in wanted.items()
    )


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_a_pickled_module_gives_its_state_dict(tmp_path: Path, zipped: bool, protocol: int) -> None:
    module = Odd()
    file = tmp_path / "module.pth"
    torch.save(module, file, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    assert agree(read_pickled_tensors(file), module.state_dict())


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("content", [TENSORS, {"epoch": 3, "state_dict": OrderedDict(TENSORS)}, {"model": TENSORS}])
def test_a_dictionary_of_tensors_is_read(tmp_path: Path, zipped: bool, content: object) -> None:
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    assert agree(read_pickled_tensors(tmp_path / "a.pt"), TENSORS)


def test_extra_objects_beside_the_tensors_do_no_harm(tmp_path: Path) -> None:
    class_of_the_tests = Odd()
    content = {"state_dict": TENSORS, "args": class_of_the_tests.config, "model_class": Odd, "module": nn.Linear(1, 1)}
    torch.save(content, tmp_path / "a.pt")
    assert agree(read_pickled_tensors(tmp_path / "a.pt"), TENSORS)


def test_a_module_whose_classes_do_not_exist_is_read(tmp_path: Path) -> None:
    from parity.weights import save_pickled_module

    tensors = {"model.norm.weight": torch.ones(3), "model.norm.bias": torch.zeros(3)}
    save_pickled_module(tensors, tmp_path / "a.pth")
    assert agree(read_pickled_tensors(tmp_path / "a.pth"), tensors)
    assert "trainer" not in sys.modules


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64, torch.int64, torch.uint8, torch.bool])
def test_every_usual_dtype_is_read(tmp_path: Path, dtype: torch.dtype) -> None:
    wanted = {"a": torch.tensor([0, 1, 1]).to(dtype), "empty": torch.empty(0, 3, dtype=dtype)}
    torch.save(wanted, tmp_path / "a.pt")
    assert agree(read_pickled_tensors(tmp_path / "a.pt"), wanted)


def payloads(target: Path) -> dict[str, Any]:
    """Objects that create `target` when an ordinary reader loads them."""
    touch = Call(open, str(target), "w")
    return {
        "open": touch,
        "os.system": Call(os.system, f"touch {target}"),
        "eval": Call(eval, f"open({str(target)!r}, 'w')"),
        "exec": Call(exec, f"open({str(target)!r}, 'w')"),
        "subprocess": Call(subprocess.call, ["touch", str(target)]),
        "a method": Call(Path.touch, target),
        "nested": [{"deep": ({"deeper": [touch]},)}],
        "as an argument": Call(OrderedDict, [("a", touch)]),
        "as the state of an allowed object": Call(OrderedDict, rest=({"x": touch},)),
        "as an item of a dictionary": Call(OrderedDict, rest=(None, None, iter([("k", touch)]))),
        "as a dictionary key": {Call(eval, f"open({str(target)!r}, 'w').name"): 1},
        "as an element of a set": Call(set, [Call(eval, f"open({str(target)!r}, 'w').name")]),
        "a torch function outside the list": Call(torch.hub.load_state_dict_from_url, str(target)),
        "torch.load": Call(torch.load, str(target)),
        "a rebuild function outside the list": Call(torch._utils._rebuild_wrapper_subclass, eval, "1"),
        "a function of torch.serialization": Call(torch.serialization.load, str(target)),
        "import": Call(__import__, "this"),
        "getattr": Call(getattr, Path(target), "touch"),
        "a call of what a call gave": Call(Call(getattr, Path(target), "touch")),
    }


NAMES = sorted(payloads(Path("x")))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_pickle_runs_nothing_and_ends_in_an_error(tmp_path: Path, name: str, zipped: bool) -> None:
    target, file = tmp_path / "ran", tmp_path / "hostile.pth"
    content = {"state_dict": TENSORS, "extra": payloads(target)[name]}
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    before = set(sys.modules)
    with pytest.raises(REFUSED, match=r"hostile\.pth"):
        read_pickled_tensors(file)
    assert not target.exists()
    assert set(sys.modules) == before


def test_what_would_be_called_is_named(tmp_path: Path) -> None:
    torch.save({"state_dict": TENSORS, "extra": Call(os.system, "true")}, tmp_path / "a.pth")
    with pytest.raises(UnsafeWeights, match=rf"a\.pth' was not loaded.*{os.name}\.system"):
        read_pickled_tensors(tmp_path / "a.pth")


def archive(file: Path, program: bytes, storages: dict[str, bytes] | None = None, pack: int = 0) -> Path:
    """A file in torch's zip format around a handwritten pickle."""
    with zipfile.ZipFile(file, "w", pack) as made:
        made.writestr("archive/data.pkl", program)
        made.writestr("archive/byteorder", "little")
        for key, content in (storages or {"0": bytes(16)}).items():
            made.writestr(f"archive/data/{key}", content)
    return file


HANDWRITTEN = {
    "a call under protocol 0": b"cos\nsystem\n(S'touch {}'\ntR.",
    "an instance under protocol 0": b"(S'touch {}'\nios\nsystem\n.",
    "an object under protocol 1": b"(cos\nsystem\nS'touch {}'\no.",
    "a dotted name": b"\x80\x04\x8c\x05torch\x8c\x0fos.system.touch\x93)R.",
    "a name beyond an allowed one": b"\x80\x04\x8c\x0btorch._utils\x8c\x20_rebuild_tensor_v2.__globals__.os\x93.",
    "state for a torch function": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x01\x00\x00\x00aK\x01sb.",
    "attributes for a torch function": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x01\x00\x00\x00aK\x01s\x86b.",
    "attributes for an allowed class": b"\x80\x02ccollections\nOrderedDict\nN}X\x01\x00\x00\x00aK\x01s\x86b.",
    "attributes for a storage class": b"\x80\x02ctorch\nFloatStorage\nN}X\x01\x00\x00\x00aK\x01s\x86b.",
    "attributes for a stub class": b"\x80\x02cos\nsystem\nN}X\x01\x00\x00\x00aK\x01s\x86b.",
    "a new object of an allowed function": b"\x80\x02ctorch._utils\n_rebuild_tensor\n)\x81.",
    "an extension registry": b"\x80\x02\x82\x01.",
    "a huge memo": b"\x80\x02]r\xff\xff\xff\x7f.",
    "a huge bytearray": b"\x80\x05\x96\x00\x00\x00\x00\x00\x00\x00\x10.",
    "a huge text": b"\x80\x04\x8d\x00\x00\x00\x00\x00\x00\x00\x10.",
    "an unknown persistent id": b"\x80\x02X\x01\x00\x00\x00aQ.",
    "no end": b"\x80\x02]",
    "nothing": b"",
}


@pytest.mark.parametrize("program", HANDWRITTEN.values(), ids=HANDWRITTEN)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_handwritten_pickle_runs_nothing_and_ends_in_an_error(tmp_path: Path, program: bytes, zipped: bool) -> None:
    file, target = tmp_path / "hostile.pth", tmp_path / "ran"
    code = program.replace(b"{}", str(target).encode())
    if zipped:
        archive(file, code)
    else:
        file.write_bytes(code)
    with pytest.raises(REFUSED, match=r"hostile\.pth"):
        read_pickled_tensors(file)
    assert not target.exists()
    assert not hasattr(torch._utils._rebuild_tensor_v2, "a")
    assert not hasattr(torch.FloatStorage, "a")


class _Writer(pickle.Pickler):
    """Writes the text STORAGE as a persistent id."""

    def __init__(self, stream: io.BytesIO, pid: tuple[Any, ...]) -> None:
        super().__init__(stream, 2)
        self.pid = pid

    def persistent_id(self, value: object) -> tuple[Any, ...] | None:
        return self.pid if value == "STORAGE" else None


def claiming(pid: tuple[Any, ...], *view: Any) -> bytes:
    """A pickle of one tensor with that persistent id, offset, size and stride."""
    stream = io.BytesIO()
    tensor = Call(torch._utils._rebuild_tensor_v2, "STORAGE", *view, False, OrderedDict())
    _Writer(stream, pid).dump({"a": tensor})
    return stream.getvalue()


FOUR: tuple[Any, ...] = ("storage", torch.FloatStorage, "0", "cpu", 4)
CLAIMS: dict[str, tuple[tuple[Any, ...], Any, Any, Any]] = {
    "a size beyond the storage": (FOUR, 0, (5,), (1,)),
    "an offset beyond the storage": (FOUR, 5, (0,), (1,)),
    "an offset that pushes the end out": (FOUR, 2, (3,), (1,)),
    "a stride beyond the storage": (FOUR, 0, (2, 2), (3, 1)),
    "a negative size": (FOUR, 0, (-1,), (1,)),
    "a negative stride": (FOUR, 3, (4,), (-1,)),
    "a negative offset": (FOUR, -1, (4,), (1,)),
    "a huge size at stride 0": (FOUR, 0, (10**12,), (0,)),
    "a size beyond 64 bits": (FOUR, 0, (2**70,), (0,)),
    "many empty sides of huge size": (FOUR, 0, (0, 2**63), (1, 1)),
    "fewer strides than sizes": (FOUR, 0, (2, 2), (1,)),
    "sizes that are no numbers": (FOUR, 0, ("4",), (1,)),
    "a truth value as a size": (FOUR, 0, (True,), (1,)),
    "a text as sizes": (FOUR, 0, "4", "1"),
    "more elements than the file has": (("storage", torch.FloatStorage, "0", "cpu", 10**9), 0, (4,), (1,)),
    "a negative number of elements": (("storage", torch.FloatStorage, "0", "cpu", -4), 0, (0,), (1,)),
    "another dtype than the bytes": (("storage", torch.DoubleStorage, "0", "cpu", 4), 0, (4,), (1,)),
    "a key outside the archive": (("storage", torch.FloatStorage, "../../x", "cpu", 4), 0, (4,), (1,)),
    "a key that is no text": (("storage", torch.FloatStorage, 0, "cpu", 4), 0, (4,), (1,)),
    "a storage class that is none": (("storage", OrderedDict, "0", "cpu", 4), 0, (4,), (1,)),
}


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_a_tensor_outside_its_bytes_is_an_error(tmp_path: Path, claim: tuple[tuple[Any, ...], Any, Any, Any]) -> None:
    file = archive(tmp_path / "hostile.pth", claiming(*claim))
    with pytest.raises(InfrastructureError, match=r"hostile\.pth"):
        read_pickled_tensors(file)


def test_the_bounds_leave_room_for_what_is_true(tmp_path: Path) -> None:
    storage = torch.arange(4.0).numpy().tobytes()
    file = archive(tmp_path / "a.pth", claiming(FOUR, 1, (3, 1), (1, 3)), {"0": storage})
    assert read_pickled_tensors(file)["a"].tolist() == [[1.0], [2.0], [3.0]]


def test_a_compressed_archive_is_an_error(tmp_path: Path) -> None:
    file = archive(tmp_path / "a.pth", claiming(FOUR, 0, (4,), (1,)), pack=zipfile.ZIP_DEFLATED)
    with pytest.raises(InfrastructureError, match="compressed"):
        read_pickled_tensors(file)


def test_a_storage_described_in_two_ways_is_an_error(tmp_path: Path) -> None:
    stream = io.BytesIO()
    pids = iter([FOUR, ("storage", torch.HalfStorage, "0", "cpu", 8)])

    class Writer(_Writer):
        def persistent_id(self, value: object) -> tuple[Any, ...] | None:
            return next(pids) if value == "STORAGE" else None

    rebuild = torch._utils._rebuild_tensor_v2
    two = [Call(rebuild, "STORAGE", 0, (4,), (1,), False, OrderedDict()) for _ in range(2)]
    Writer(stream, FOUR).dump({"a": two[0], "b": two[1]})
    with pytest.raises(InfrastructureError, match="two ways"):
        read_pickled_tensors(archive(tmp_path / "a.pth", stream.getvalue()))


def test_modules_that_contain_themselves_are_an_error(tmp_path: Path) -> None:
    module = nn.Module()
    module._modules["again"] = module
    torch.save(module, tmp_path / "a.pth")
    with pytest.raises(InfrastructureError, match="nested without end"):
        read_pickled_tensors(tmp_path / "a.pth")


def test_modules_that_branch_without_end_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aes_audit.weights.pickled_tensors._NODES", 1000)
    module = nn.Module()
    for _ in range(40):
        parent = nn.Module()
        parent._modules.update(left=module, right=module)
        module = parent
    torch.save(module, tmp_path / "a.pth")
    with pytest.raises(InfrastructureError, match="nested without end"):
        read_pickled_tensors(tmp_path / "a.pth")


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_a_truncated_module_is_named(tmp_path: Path, zipped: bool, kept: float) -> None:
    file = tmp_path / "module.pth"
    torch.save(Odd(), file, _use_new_zipfile_serialization=zipped)
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InfrastructureError, match=r"module\.pth' cannot be read"):
        read_pickled_tensors(file)


@pytest.mark.parametrize("zipped", [True, False])
def test_damage_anywhere_ends_in_an_error_or_in_tensors(tmp_path: Path, zipped: bool) -> None:
    file = tmp_path / "a.pth"
    torch.save({"state_dict": TENSORS}, file, _use_new_zipfile_serialization=zipped)
    content = file.read_bytes()
    for place in range(0, len(content), 7):
        file.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            found = read_pickled_tensors(file)
        except REFUSED:
            continue
        assert all(isinstance(tensor, Tensor) for tensor in found.values())


@pytest.mark.parametrize(
    "content", [{"epoch": 3}, [1, 2], Call(nn.Linear, 1, 1)], ids=["no tensors", "a list", "a foreign object"]
)
def test_a_file_without_tensors_is_an_error(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(REFUSED, match=r"a\.pth"):
        read_pickled_tensors(tmp_path / "a.pth")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"none\.pth"):
        read_pickled_tensors(tmp_path / "none.pth")


def test_numbers_of_a_big_endian_machine_are_refused(tmp_path: Path) -> None:
    write: Callable[..., None] = torch.save
    write(TENSORS, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    content = (tmp_path / "a.pth").read_bytes()
    assert content.count(b"little_endianq\x02\x88") == 1
    (tmp_path / "a.pth").write_bytes(content.replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89"))
    with pytest.raises(InfrastructureError, match="big-endian"):
        read_pickled_tensors(tmp_path / "a.pth")
