"""The folder in which NVIDIA's driver describes its devices, written as the kernel would show it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = ["A100", "H100", "UUIDS", "write_driver"]

A100, H100 = "NVIDIA A100-SXM4-40GB", "NVIDIA H100 80GB HBM3"
UUIDS = tuple(f"GPU-{digit * 8}-0000-4000-8000-00000000000{digit}" for digit in "1234")

INFORMATION = """Model: \t\t {model}
IRQ:   \t\t 142
GPU UUID: \t {uuid}
Video BIOS: \t 96.00.74.00.01
Bus Type: \t PCIe
DMA Size: \t 52 bits
DMA Mask: \t 0xfffffffffffff
Bus Location: \t 0000:{bus}:00.0
Device Minor: \t {minor}
GPU Excluded:\t {excluded}
"""


def write_driver(
    folder: Path, models: Sequence[str], uuids: Sequence[str] = UUIDS, excluded: Sequence[int] = ()
) -> Path:
    """The driver's folder with one device of each model, in the order of the bus."""
    (folder / "gpus").mkdir(parents=True)
    (folder / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module\n")
    for minor, (model, uuid) in enumerate(zip(models, uuids, strict=False)):
        bus = f"{4 + 16 * minor:02x}"
        place = folder / "gpus" / f"0000:{bus}:00.0"
        place.mkdir()
        said = "Yes" if minor in excluded else "No"
        (place / "information").write_text(
            INFORMATION.format(model=model, uuid=uuid, bus=bus, minor=minor, excluded=said)
        )
    return folder
