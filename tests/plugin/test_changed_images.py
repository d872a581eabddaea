"""A stored image whose bytes change on disk: found by the next run, made again, warned of and counted."""

from __future__ import annotations

import json
import shutil

import pytest

from plugin.live import LiveProject


@pytest.mark.heavy
def test_a_flipped_byte_is_remade_and_counted_in_the_results(live: LiveProject) -> None:
    first = live.run("--audit-json=first.json")
    first.assert_outcomes(passed=1)
    store = live.root / ".aes_audit"
    shutil.rmtree(store / "scores")
    blob = min(store.glob("blobs/*/*.png"))
    content = bytearray(blob.read_bytes())
    content[-20] ^= 1
    blob.write_bytes(content)
    second = live.run("--audit-json=second.json")
    # Equal pictures of one item are one file.
    images = sum(blob.stem in record.read_text() for record in store.glob("images/*/*.json"))
    second.assert_outcomes(passed=1, warnings=images)
    second.stdout.fnmatch_lines(["*ChangedImageWarning: store *: image * had changed on disk; it was dropped, to be*"])
    found = [json.loads((live.root / f"{name}.json").read_text()) for name in ("first", "second")]
    assert [run["run"]["changed_images"] for run in found] == [0, images]
    assert found[0]["measurements"] == found[1]["measurements"]
