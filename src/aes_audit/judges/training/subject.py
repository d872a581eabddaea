"""What a training of a judge is about: enough to say whether two trainings are one. Imports no torch."""

from __future__ import annotations

from typing import Any

from aes_audit.errors import UsageError
from aes_audit.judges.training.annotations import Annotations
from aes_audit.judges.training.recipe import JudgeRecipe
from aes_audit.judges.training.sources import DataSource
from aes_audit.judges.training.split import Split
from aes_audit.judges.vision_language import QwenJudgeModel

__all__ = ["subject_of"]


def subject_of(
    model: QwenJudgeModel, source: DataSource, data: Annotations, split: Split, recipe: JudgeRecipe
) -> dict[str, Any]:
    """JSON values: two trainings of one subject on one CPU end alike.

    Raises UsageError where the training part does not rate what the held-out part is about.
    """
    learnt = {name for image in split.training for name in image.classes}
    if unlearnt := [name for name in data.dimensions if name not in learnt]:
        raise UsageError(f"no image to learn from has a rating of {unlearnt[0]!r}: leave it out with --dimensions.")
    return {
        "base": {"model": model.name, **model.identity},
        "guideline": {"name": model.guideline.name, "sha256": model.guideline.digest},
        "data": {
            "name": source.name,
            "commit": source.commit,
            "dimensions": list(data.dimensions),
            "images": {"training": len(split.training), "held_out": len(split.held_out)},
            "left_out": {"unrated": data.unrated, "repeated": split.repeated, "leaking": split.leaking},
            "digests": split.digests,
        },
        "recipe": {**recipe.identity, "steps": recipe.steps(len(split.training))},
    }
