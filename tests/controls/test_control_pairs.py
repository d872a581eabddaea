"""The control prompt pairs: seeded, balanced, and kept out of training."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np

from aes_audit.controls.prompts import COUNT, control_pairs, held_out, lines, main
from aes_audit.controls.training.corpus import scene_group
from aes_audit.prompts.dimensions import DIMENSIONS

COMMITTED = Path(__file__).resolve().parents[2] / "fixtures" / "prompts" / "control_pairs.jsonl"


def test_the_command_rewrites_the_committed_file_byte_for_byte(tmp_path: Path) -> None:
    main(["--output", str(tmp_path / "new" / "pairs.jsonl")])
    assert (tmp_path / "new" / "pairs.jsonl").read_bytes() == COMMITTED.read_bytes()


def test_each_line_has_the_four_keys_and_sorted_dimensions() -> None:
    rows = [json.loads(line) for line in lines().splitlines()]
    assert len(rows) == COUNT
    assert len({row["id"] for row in rows}) == COUNT
    for row in rows:
        assert list(row) == ["id", "original", "wide", "dimensions"]
        assert 2 <= len(row["dimensions"]) <= 4
        assert row["dimensions"] == sorted(row["dimensions"], key=DIMENSIONS.index)
        assert row["wide"] != row["original"]
        assert row["original"] in row["wide"]


def test_all_dimensions_and_sizes_occur_about_equally_often() -> None:
    counts = Counter(name for pair in control_pairs() for name in pair.dimensions)
    assert set(counts) == set(DIMENSIONS)
    assert max(counts.values()) - min(counts.values()) <= 1
    assert set(Counter(len(pair.dimensions) for pair in control_pairs()).values()) == {COUNT // 3}


def test_the_conventional_twin_has_no_low_dimension() -> None:
    for pair in control_pairs():
        assert pair.scene.low == pair.dimensions
        assert pair.conventional().low == ()
        assert pair.conventional().seed == pair.scene.seed


def test_training_scenes_never_ask_for_what_a_pair_asks_for() -> None:
    rng = np.random.default_rng(0)
    scenes = [scene for _ in range(400) for scene in scene_group(rng)]
    assert not {(scene.kind, scene.colour, scene.place, scene.low) for scene in scenes} & held_out()
