"""Photographs beside clean counterparts: what a reward prefers is what prefers_wide measures."""

from __future__ import annotations

from pathlib import Path

import pytest
from evidence.galleries import Counting
from PIL import Image

from aes_audit.errors import UsageError
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.photographs import PHOTOGRAPHS, collect_photographs, read_photographs
from aes_audit.evidence.store import Store
from aes_audit.measures.registry import measure

HEAD = "wide_image,clean_image,caption\n"


def folder(root: Path, brighter: int, count: int) -> Path:
    """Pairs of which the photograph is brighter than its counterpart in the first `brighter`."""
    root.mkdir()
    lines = []
    for number in range(count):
        wide, clean = (200, 100) if number < brighter else (100, 200)
        Image.new("L", (8, 8), wide + number % 20).save(root / f"w{number}.png")
        Image.new("L", (8, 8), clean + number % 20).save(root / f"c{number}.png")
        lines.append(f"w{number}.png,c{number}.png,overexposed on purpose\n")
    (root / "pairs.csv").write_text(HEAD + "".join(lines))
    return root


def test_the_share_of_photographs_that_a_reward_prefers_is_measured(tmp_path: Path) -> None:
    photographs = read_photographs(folder(tmp_path / "photographs", 30, 40))
    reward = Counting("bright")
    store = Store(tmp_path / "store")
    table = collect_photographs(photographs, [reward], store, LocalEngine())
    found = measure("prefers_wide", table, model=PHOTOGRAPHS, scorer="bright", expected=photographs.items)
    assert (found.estimate, found.n, found.missing) == (0.75, 40, 0)
    again = Counting("bright")
    assert collect_photographs(photographs, [again], store, LocalEngine()) == table
    assert again.loads == 0


def test_a_pair_without_one_of_its_pictures_is_missing(tmp_path: Path) -> None:
    root = folder(tmp_path / "photographs", 30, 40)
    (root / "c3.png").write_bytes(b"nothing")
    photographs = read_photographs(root)
    table = collect_photographs(photographs, [Counting("bright")], Store(tmp_path / "store"), LocalEngine())
    found = measure("prefers_wide", table, model=PHOTOGRAPHS, scorer="bright", expected=photographs.items)
    assert (found.n, found.missing) == (39, 1)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("wide_image,caption\na,b\n", "has no column 'clean_image'"),
        (HEAD, "has no rows"),
        (HEAD + "a.png,b.png,\n", "row 1: caption = '' is not text"),
        (HEAD + "a.png,b.png,x\na.png,c.png,y\n", "row 2: a.png has a row already"),
        (HEAD + "a.png,../b.png,x\n", "not a path inside the folder"),
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, table: str, complaint: str) -> None:
    (tmp_path / "pairs.csv").write_text(table)
    with pytest.raises(UsageError, match=complaint):
        read_photographs(tmp_path)
