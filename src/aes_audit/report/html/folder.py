"""Writing a run folder: the page, the numbers, the rows, the plots and the pictures; whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aes_audit.report.html.gallery import gallery, shots
from aes_audit.report.html.material import SIDES, FindPicture, Material
from aes_audit.report.html.page import page
from aes_audit.report.html.pictures import Size, write_pictures
from aes_audit.report.results import results_text
from aes_audit.report.run_folder import EVIDENCE, PAGE, RESULTS, replaced_folder

__all__ = ["stored_pictures", "write_folder"]

_DIGEST = re.compile("[0-9a-f]{64}")


def write_folder(path: Path, material: Material) -> None:
    """Write the run folder in place of an earlier one. Raises UsageError naming the path when that cannot be done."""
    with replaced_folder(path) as folder:
        found, note = _pictures(material, folder / "images")
        html, plots = page(material, gallery(material, found), note)
        (folder / PAGE).write_text(html, encoding="utf-8")
        (folder / RESULTS).write_text(results_text(material.results), encoding="utf-8")
        if material.evidence is not None:
            material.evidence.to_parquet(folder / EVIDENCE)
        (folder / "assets").mkdir()
        for plot in plots:
            (folder / "assets" / f"{plot.name}.svg").write_text(f"{plot.svg}\n", encoding="utf-8")


def stored_pictures(address: str | Path) -> FindPicture:
    """Images of a store by their digest; what is gone, changed or no digest at all is None."""
    from aes_audit.errors import AesAuditError
    from aes_audit.evidence.store import ImageRecord, Store

    store = Store(address, looked_at=True)

    def find(digest: str) -> bytes | None:
        try:
            return store.read_image(ImageRecord(digest, digest, None, {}))
        except (AesAuditError, ValueError):
            return None

    return find


def _pictures(material: Material, folder: Path) -> tuple[Mapping[str, Mapping[str, Any]], str]:
    """The files of the pictures, and what the page says about them."""
    known = shots(material)
    if material.find is None:
        return {}, "This run judged recorded evidence, which holds scores and no pictures: open a pair for its scores."
    digests = {digest for shot in known.values() for digest in shot.digests.values() if _DIGEST.fullmatch(digest)}
    pairs = len({(set_, item) for set_, _, item in known if set_ in SIDES})
    found, size = write_pictures(sorted(digests), pairs, material.find, folder)
    lost = len(digests) - len(found)
    gone = f" {lost} of {len(digests)} pictures are not in the store any more." if lost else ""
    return found, f"{_told(size)}{gone}"


def _told(size: Size) -> str:
    shown = "Each pair as it was drawn: the left picture answers the plain caption, the right one its rewriting."
    if size.side is None:
        return shown
    return f"{shown} They are at most {size.side} pixels wide here, so that they can be sent; the store has them whole."
