"""TOML, JSON and YAML of the documentation can be read, and thresholds by the strict reader."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
from docs.blocks import PAGES, ROOT, Block, blocks

from aes_audit.gates.thresholds import read_thresholds
from aes_audit.measures.names import METRIC_NEEDS, PAIRED

DATA = [block for page in PAGES for block in blocks(page) if block.language in ("toml", "json", "jsonl", "yaml", "yml")]


@pytest.mark.parametrize("block", DATA, ids=lambda block: block.place)
def test_data_can_be_read(block: Block, tmp_path: Path) -> None:
    if block.language in ("yaml", "yml"):
        assert yaml.safe_load(block.text)
    elif block.language == "toml":
        table = tomllib.loads(block.text)
        assert table
        if table.keys() & {"profiles", "gates"}:
            _read_thresholds(block, tmp_path / "thresholds.toml", whole="schema" in table)
    else:
        assert all(json.loads(line) for line in block.text.splitlines()) or json.loads(block.text)


def _read_thresholds(block: Block, path: Path, whole: bool) -> None:
    """A part of a file is read behind the shipped file."""
    shipped = "" if whole else (ROOT / "audits" / "thresholds.toml").read_text(encoding="utf-8")
    path.write_text(f"{shipped}\n{block.text}", encoding="utf-8")
    read_thresholds(path, PAIRED, METRIC_NEEDS.keys() - PAIRED)
