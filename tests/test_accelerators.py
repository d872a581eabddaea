"""Which devices a process may use: held against torch's own reading of the same environment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from driver_folder import A100, H100, UUIDS, write_driver
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aes_audit import device
from aes_audit.accelerators import VISIBLE, Gpu, installed_gpus, visible_devices

FOUR = tuple(Gpu(H100, uuid) for uuid in UUIDS)
ENTRIES = (
    *("0", "1", "3", "4", "17", "-1", "", " 2", "+1", "1x", "x1", "NoDevFiles"),
    *(UUIDS[0], UUIDS[1], UUIDS[2][:9], "GPU-", "GPU-9", "MIG-1", "MIG-2", "MIG-GPU-1/2/0"),
)

Machine = Callable[..., None]


def _by_torch(listed: str) -> tuple[str, ...]:
    """What torch makes of the variable on a machine with FOUR, as its counting of devices does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VISIBLE, listed)
        found = torch.cuda._parse_visible_devices()
    if found and isinstance(found[0], str):
        if found[0].startswith("MIG-"):
            return tuple(map(str, found))
        return tuple(UUIDS[n] for n in torch.cuda._transform_uuid_to_ordinals(list(map(str, found)), list(UUIDS)))
    valid = [int(number) < len(FOUR) for number in found]
    return tuple(map(str, found[: valid.index(False)] if False in valid else found))


@given(st.lists(st.sampled_from(ENTRIES), max_size=4).map(",".join))
@example("0,4,0")
@example(f"{UUIDS[0]},GPU-,{UUIDS[0]}")
@settings(max_examples=400)
def test_the_environment_is_read_as_torch_reads_it(listed: str) -> None:
    assert visible_devices({VISIBLE: listed}, FOUR) == _by_torch(listed)


@pytest.mark.parametrize(
    ("listed", "left"),
    [
        ("2,0", ("2", "0")),
        ("0,9,1", ("0",)),
        ("", ()),
        ("-1", ()),
        ("0,-1,1", ("0",)),
        (f"{UUIDS[3]},{UUIDS[0][:12]}", (UUIDS[3], UUIDS[0])),
        ("MIG-a,MIG-b", ("MIG-a", "MIG-b")),
        ("1,1", ()),
        ("0,4,0", ()),
    ],
)
def test_each_visible_device_is_named_by_itself(listed: str, left: tuple[str, ...]) -> None:
    assert visible_devices({VISIBLE: listed}, FOUR) == left


def test_without_the_variable_every_device_of_the_driver_is_visible_by_its_uuid(tmp_path: Path) -> None:
    found = installed_gpus(write_driver(tmp_path, [A100, H100, H100], excluded=[1]))
    assert found == (Gpu(A100, UUIDS[0]), Gpu(H100, UUIDS[2]))
    assert visible_devices({}, found) == (UUIDS[0], UUIDS[2])
    assert not installed_gpus(tmp_path / "none")
    assert not visible_devices({}, ())


def test_devices_whose_uuid_the_driver_does_not_know_yet_are_numbered(tmp_path: Path) -> None:
    unknown = "GPU-????????-????-????-????-????????????"
    found = installed_gpus(write_driver(tmp_path, [H100, H100], [unknown, unknown]))
    assert visible_devices({}, found) == ("0", "1")
    assert visible_devices({VISIBLE: "GPU-1,GPU-2"}, found) == ("GPU-1", "GPU-2")


def test_where_the_driver_shows_nothing_the_variable_alone_counts() -> None:
    assert visible_devices({VISIBLE: "0,17"}, ()) == ("0", "17")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with these devices, in this environment."""

    def install(models: Sequence[str], **environment: str) -> None:
        driver = write_driver(tmp_path / "nvidia", models)
        monkeypatch.setattr(device, "DRIVER", driver)
        monkeypatch.setattr(device, "installed_gpus", partial(installed_gpus, driver))
        for name in (VISIBLE, "CUDA_DEVICE_ORDER"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

    return install


@pytest.mark.parametrize(
    ("models", "environment", "named"),
    [
        ([H100, H100], {}, H100),
        ([A100, H100], {VISIBLE: UUIDS[1]}, H100),
        ([A100, H100], {VISIBLE: UUIDS[0]}, A100),
        ([A100, H100], {VISIBLE: "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, H100),
        ([A100, H100], {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, A100),
        # CUDA counts from the fastest, which the driver's files do not tell.
        ([A100, H100], {VISIBLE: "1"}, f"{A100}, {H100}"),
        ([A100, H100], {}, f"{A100}, {H100}"),
        ([H100], {VISIBLE: "MIG-1"}, f"{H100} MIG"),
        ([], {}, "unknown"),
    ],
)
def test_baselines_name_the_one_device_that_a_process_sees(
    machine: Machine, models: list[str], environment: dict[str, str], named: str
) -> None:
    machine(models, **environment)
    assert device.device_class("cuda") == f"cuda ({named})"


@pytest.mark.parametrize(
    ("listed", "picked"), [("0", "cuda"), ("", "cpu"), ("-1", "cpu"), ("NoDevFiles", "cpu"), (UUIDS[0], "cuda")]
)
def test_who_is_shown_no_device_runs_on_the_processor(machine: Machine, listed: str, picked: str) -> None:
    machine([H100], **{VISIBLE: listed})
    assert device.pick_device("auto") == picked
    assert device.pick_device("cuda") == "cuda"
