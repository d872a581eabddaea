"""The control world's emotion templates: `python -m aes_audit.controls.face_templates` writes them, always the same 30.

Training has shown a face of every colour in every place with every expression: the world has only 49 faces. What it
has not shown are these texts. A template is taken only if none of its four prompts is a caption of the training
corpus, whose captions are written again to know that, and if no prompt pair has a face of its colour in its place.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path

import numpy as np

from aes_audit.controls.captions import named_in
from aes_audit.controls.prompts import control_pairs
from aes_audit.controls.scene import COLOURS, PLACES, Scene
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.prompts.emotion import EMOTIONS, PLACEHOLDER, EmotionTemplate

__all__ = ["COUNT", "face_templates"]

COUNT = 30
"""How many templates there are."""

_SEED = 20_513
_OPENINGS = ("a", "a picture of a", "there is a", "a drawing of a")
# The world's wordings that have no article before the emotion, which would have to change with it.
_ENDS = ("the face looks {}", "its expression is {}", "the mood is {}")


def face_templates(known: frozenset[str]) -> tuple[EmotionTemplate, ...]:
    """COUNT faces of different colours or places, none of whose prompts is among the `known` captions."""
    rng = np.random.default_rng(_SEED)
    asked = {(pair.scene.colour, pair.scene.place) for pair in control_pairs() if pair.scene.kind == "face"}
    faces = [face for face in product(COLOURS, PLACES) if face not in asked]
    found: list[EmotionTemplate] = []
    for colour, place in (faces[index] for index in rng.permutation(len(faces))):
        wordings = list(_wordings(colour, place))
        shuffled = (EmotionTemplate("", wordings[index]) for index in rng.permutation(len(wordings)))
        new = [one for one in shuffled if known.isdisjoint(map(one.prompt, EMOTIONS))]
        if new and len(found) < COUNT:
            text = new[0].text
            # The world's CLIP knows whole captions only: of drawn faces it tells .64 by the bare statement and .98 so.
            found.append(EmotionTemplate(f"face-{len(found) + 1:02d}", text, text.partition(",")[0]))
    return tuple(found)


def _wordings(colour: str, place: str) -> Iterator[str]:
    face = Scene("face", colour, place, (1,) * len(DIMENSIONS))
    for opening, end in product(_OPENINGS, _ENDS):
        yield f"{named_in(face, opening)}, {end.format(PLACEHOLDER)}"


def main(arguments: list[str] | None = None) -> None:
    """Write the templates to --output; takes a minute or two, most of it for the captions of the corpus."""
    parser = argparse.ArgumentParser(prog="python -m aes_audit.controls.face_templates", description=main.__doc__)
    parser.add_argument("--output", type=Path, default=Path("fixtures/prompts/control_faces.jsonl"))
    output = parser.parse_args(arguments).output
    # Needs torch, which the templates themselves do not.
    from aes_audit.controls.training.corpus import corpus_captions

    rows = map(asdict, face_templates(frozenset(corpus_captions(seed=0))))
    output.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
