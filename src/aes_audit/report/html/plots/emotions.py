"""The confusion matrix of faces: which emotion was asked for, and which one the face is found to show."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aes_audit.evidence.schema import EMOTIONS
from aes_audit.evidence.table import Evidence
from aes_audit.report.html.plots.canvas import Plot, canvas, ink, plain, plot

__all__ = ["confusion", "confusion_counts"]


def confusion_counts(evidence: Evidence, model: str, scorer: str) -> npt.NDArray[np.int64]:
    """Faces by the emotion asked for (rows) and the statement that fits best (columns), in the order of EMOTIONS.

    A face counts where all four statements were scored and one of them fits strictly best.
    """
    counts = np.zeros((len(EMOTIONS), len(EMOTIONS)), dtype=np.int64)
    for row, asked in enumerate(EMOTIONS):
        columns = [evidence.values(model, "emotion", scorer, asked, statement) for statement in EMOTIONS]
        common = columns[0].index
        for column in columns[1:]:
            common = common.intersection(column.index)
        scores = np.stack([column.reindex(common).to_numpy() for column in columns], axis=1)
        scores = scores[~np.isnan(scores).any(axis=1)]
        best = scores.max(axis=1, keepdims=True) if len(scores) else scores
        single = (scores == best).sum(axis=1) == 1
        counts[row] = np.bincount(scores[single].argmax(axis=1), minlength=len(EMOTIONS)) if single.any() else 0
    return counts


def confusion(evidence: Evidence, model: str, scorer: str, name: str) -> Plot | None:
    """The matrix as shares of the faces asked for; None where no face was scored."""
    counts = confusion_counts(evidence, model, scorer)
    if not counts.any():
        return None
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with canvas(4.8, 4.2) as figure:
        axes = figure.subplots()
        for row, column in np.ndindex(counts.shape):
            # Faint enough that the number on it is read in either colour scheme.
            shade = ink("second" if row == column else "fail")
            cell = (column - 0.48, column + 0.48)
            axes.fill_between(
                cell, row - 0.48, row + 0.48, color=shade, alpha=float(0.04 + 0.46 * shares[row, column]), linewidth=0
            )
            axes.text(column, row, f"{shares[row, column]:.0%}", ha="center", va="center")
        axes.set_xticks(range(len(EMOTIONS)), EMOTIONS, color=ink("ink"))
        axes.set_yticks(range(len(EMOTIONS)), EMOTIONS, color=ink("ink"))
        axes.set_xlabel("statement that fits the face best")
        axes.set_ylabel("emotion asked for")
        axes.set_xlim(-0.55, len(EMOTIONS) - 0.45)
        axes.set_ylim(len(EMOTIONS) - 0.45, -0.55)
        axes.set_aspect("equal")
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        rows = [[asked, *map(str, line), str(line.sum())] for asked, line in zip(EMOTIONS, counts, strict=True)]
        description = (
            f"Faces drawn by {model}, by the emotion that was asked for, as {scorer} reads them. The diagonal is "
            "right; the first column is happiness that nobody asked for."
        )
        columns = ("asked for", *EMOTIONS, "faces")
        return plot(figure, name, f"Emotions drawn by {plain(model)}", description, columns, rows)
