"""Python of the documentation runs: modules of one page together, tests as far as they are imported."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from docs.blocks import PAGES, Block, blocks

PYTHON = [block for page in PAGES for block in blocks(page) if block.language in ("python", "py")]


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.place)
def test_python_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compile(block.text, block.place, "exec")
    if block.needs:
        return
    for other in blocks(block.page):
        if other.file:
            (tmp_path / other.file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / other.file).write_text(other.text, encoding="utf-8")
    snippet = tmp_path / (block.file or "snippet.py")
    snippet.write_text(block.text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    runpy.run_path(str(snippet), run_name="snippet")


def test_blocks_are_found() -> None:
    assert len(PYTHON) > 5
