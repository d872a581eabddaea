"""The control prompt pairs: `python -m aes_audit.controls.prompts` writes them, always the same 150."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from aes_audit.controls.captions import plain_caption, wide_caption
from aes_audit.controls.scene import COLOURS, KINDS, PLACES, Scene, emotion_of, sample_levels
from aes_audit.prompts.dimensions import DIMENSIONS

__all__ = ["COUNT", "ControlPair", "Held", "control_pairs", "held_out", "lines"]

COUNT = 150
"""How many pairs there are."""

_SEED = 20_512

Held = tuple[str, str, str, tuple[str, ...]]
"""Subject, colour, place and low dimensions: what a pair asks for, whatever the words."""


@dataclass(frozen=True, slots=True)
class ControlPair:
    """One item of the prompt set, with a scene that a perfect generator could have drawn for it."""

    id: str
    """`control-001` and so on."""
    original: str
    """p_o."""
    wide: str
    """p_a."""
    scene: Scene
    """What p_a asks for, with unmentioned dimensions normal or good."""

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The selected dimensions, in the order of DIMENSIONS."""
        return self.scene.low

    def conventional(self) -> Scene:
        """The same scene as p_o would get it: selected dimensions normal, a face neutral."""
        levels = tuple(max(level, 1) for level in self.scene.levels)
        return self.scene.at(levels, np.random.default_rng(self.scene.seed))


def _balanced_dimensions(rng: np.random.Generator) -> list[tuple[str, ...]]:
    """2, 3 or 4 dimensions in turn, always out of those used least so far."""
    used = dict.fromkeys(DIMENSIONS, 0)
    chosen = []
    for item in range(COUNT):
        order = rng.permutation(len(DIMENSIONS))
        least = sorted(order, key=lambda index: used[DIMENSIONS[index]])[: 2 + item % 3]
        names = tuple(DIMENSIONS[index] for index in sorted(least))
        for name in names:
            used[name] += 1
        chosen.append(names)
    return chosen


@cache
def control_pairs() -> tuple[ControlPair, ...]:
    """All pairs; subjects, colours and places in turn, so that each occurs about equally often."""
    rng = np.random.default_rng(_SEED)
    subjects = [(kind, colour, place) for kind in KINDS for colour in COLOURS for place in PLACES]
    order = rng.permutation(len(subjects))
    by_kind = [[subjects[i] for i in order if subjects[i][0] == kind] for kind in KINDS]
    pairs = []
    for item, low in enumerate(_balanced_dimensions(rng)):
        kind, colour, place = by_kind[item % len(KINDS)].pop()
        levels = sample_levels(rng, low)
        emotion = emotion_of(kind, levels[DIMENSIONS.index("emotion")], rng)
        scene = Scene(kind, colour, place, levels, emotion, int(rng.integers(2**31)))
        plain = plain_caption(scene, rng)
        pairs.append(ControlPair(f"control-{item + 1:03d}", plain, wide_caption(scene, rng, plain), scene))
    return tuple(pairs)


@cache
def held_out() -> frozenset[Held]:
    """What training must never show: the combinations that the pairs ask for."""
    return frozenset(
        (pair.scene.kind, pair.scene.colour, pair.scene.place, pair.dimensions) for pair in control_pairs()
    )


def lines() -> str:
    """The prompt set as JSON lines: id, original, wide, dimensions."""
    rows = (
        {"id": pair.id, "original": pair.original, "wide": pair.wide, "dimensions": list(pair.dimensions)}
        for pair in control_pairs()
    )
    return "".join(json.dumps(row) + "\n" for row in rows)


def main(arguments: list[str] | None = None) -> None:
    """Write the pairs to --output."""
    parser = argparse.ArgumentParser(prog="python -m aes_audit.controls.prompts", description=main.__doc__)
    parser.add_argument("--output", type=Path, default=Path("fixtures/prompts/control_pairs.jsonl"))
    output = parser.parse_args(arguments).output
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(lines(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
