"""`python -m aes_audit.controls.agreement --output FILE`: control/judge beside the renderer's levels, as evidence.

The scenes are those of the control pairs, whose combinations training never showed. `pytest audits/ --evidence=FILE`
then says, in the words of `judge_agreement_...`, how far the control judge is to be believed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from aes_audit.controls.renderer import drawn_scenes
from aes_audit.controls.world import render
from aes_audit.evidence.schema import Row
from aes_audit.evidence.table import Evidence
from aes_audit.judges.registry import resolve_judge
from aes_audit.prompts.dimensions import DIMENSIONS

__all__ = ["MODEL", "judge_agreement"]

MODEL = "renderer"
"""The `model` column of the evidence: who drew the pictures."""


def judge_agreement(judge: str = "control/judge", device: str = "cpu") -> Evidence:
    """Ratings of the 300 drawn pictures: `judge/<dimension>` by the judge, `truth/<dimension>` by the renderer.

    Raises UnknownName or ModelNotFound for a judge that does not exist.
    """
    loaded = resolve_judge(judge, device=device).load()
    scenes = drawn_scenes()
    scores = loaded.score([Image.fromarray(render(scene)) for scene in scenes], DIMENSIONS)

    def rows() -> Iterator[Row]:
        for number, (scene, scored) in enumerate(zip(scenes, scores, strict=True)):
            item = f"scene-{number:03d}"
            for dimension, level, value in zip(DIMENSIONS, scene.levels, scored, strict=True):
                yield Row(MODEL, "ratings", item, "work", None, f"judge/{dimension}", float(value))
                yield Row(MODEL, "ratings", item, "work", None, f"truth/{dimension}", float(level))

    return Evidence.from_rows(rows(), source=MODEL)


def main(arguments: list[str] | None = None) -> None:
    """Write the ratings to --output."""
    parser = argparse.ArgumentParser(prog="python -m aes_audit.controls.agreement", description=main.__doc__)
    parser.add_argument("--output", type=Path, default=Path("control-ratings.parquet"))
    output = parser.parse_args(arguments).output
    output.parent.mkdir(parents=True, exist_ok=True)
    judge_agreement().to_parquet(output)
    print(f"{output}: pytest audits/ --evidence={output}")


if __name__ == "__main__":
    main()
