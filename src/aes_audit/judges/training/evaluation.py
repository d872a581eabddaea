"""How far a judge agrees with people on images that it has not learnt from: evidence, and a table of it.

The numbers are those of the audits `judge_agreement_*`, by the very same functions. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from aes_audit.evidence.batches import fixed_batches
from aes_audit.evidence.progress import Progress
from aes_audit.evidence.schema import Row
from aes_audit.evidence.table import Evidence
from aes_audit.judges.training.annotations import RatedImage
from aes_audit.measures.agreement import TRUTH, USED
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.readings import JUDGE
from aes_audit.measures.registry import measure

if TYPE_CHECKING:
    from aes_audit.judges.protocol import DimensionJudge

__all__ = ["agreement_table", "judged"]

_SET, _IMAGE = "ratings", "work"
_BATCH = 32
_HEADER = ("dimension", "n", "accuracy", "", "majority", "MAE", "weighted F1", "kappa")
_OTHERS = ("mae", "weighted_f1", "quadratic_kappa")


def judged(
    judge: DimensionJudge, images: Sequence[RatedImage], dimensions: Sequence[str], *, name: str, progress: Progress
) -> Evidence:
    """Rows `judge/<dimension>` and `truth/<dimension>` of the set `ratings`, for every rating of every image.

    `name` goes into the column `model`. Raises UsageError for a picture that cannot be read.
    """
    rows: list[Row] = []
    with progress.bar("evaluate", done=0, total=len(images), unit="image") as tick:
        for batch in fixed_batches(images, _BATCH):
            scores = judge.score([image.open() for image in batch], dimensions)
            for image, row in zip(batch, scores, strict=True):
                by_name = dict(zip(dimensions, map(float, row), strict=True))
                rows += _rows(image, name, by_name)
            tick(len(batch))
    return Evidence.from_rows(rows, "evaluation")


def agreement_table(evidence: Evidence, name: str, dimensions: Sequence[str]) -> str:
    """Per dimension and pooled over those that prompts use: accuracy with its interval beside the majority class,
    MAE, weighted F1 and quadratic kappa; a dimension that is no better than the majority class is marked.
    """
    lines = [_HEADER, *(_line(evidence, name, group) for group in (*dimensions, USED))]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = [
        "  ".join(cell.ljust(width) if place in (0, 3) else cell.rjust(width) for place, (cell, width) in
                  enumerate(zip(cells, widths, strict=True))).rstrip()
        for cells in lines
    ]  # fmt: skip
    if any("*" in cells[2] for cells in lines):
        texts.append("* not above the majority class: the judge says nothing about it")
    return "\n".join(texts)


def _rows(image: RatedImage, name: str, scores: dict[str, float]) -> Iterator[Row]:
    for dimension, truth in image.classes.items():
        for who, value in ((JUDGE, scores[dimension]), (TRUTH, float(truth))):
            yield Row(name, _SET, image.sha256[:16], _IMAGE, None, f"{who}/{dimension}", value)


def _line(evidence: Evidence, name: str, group: str) -> tuple[str, ...]:
    accuracy = measure("judge_agreement_accuracy", evidence, model=name, group=group)
    others = [measure(f"judge_agreement_{metric}", evidence, model=name, group=group) for metric in _OTHERS]
    details = accuracy.details
    mark = "*" if details.get("uninformative") else " "
    low, high = accuracy.interval or (float("nan"),) * 2
    return (
        group,
        str(details.get("rows", 0)),
        f"{_number(accuracy)}{mark}",
        f"[{low:.3f}, {high:.3f}]",
        f"{details.get('majority_baseline', float('nan')):.3f}",
        *map(_number, others),
    )


def _number(measurement: Measurement) -> str:
    return "-" if measurement.estimate is None else f"{measurement.estimate:.3f}"
