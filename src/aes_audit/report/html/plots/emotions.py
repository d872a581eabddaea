"""The confusion matrix of faces: which emotion was asked for, and which one the face is found to show."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aes_audit.errors import AesAuditError
from aes_audit.evidence.schema import EMOTIONS
from aes_audit.evidence.table import Evidence
from aes_audit.measures.registry import measure
from aes_audit.report.html.plots.canvas import Plot, canvas, ink, plain, plot

__all__ = ["confusion", "confusion_counts"]


def confusion_counts(evidence: Evidence, model: str, scorer: str) -> npt.NDArray[np.int64]:
    """Faces by the emotion asked for (rows) and the statement that fits best (columns), in the order of EMOTIONS.

    Those that `positivity_shift` counts: of items without a lost score, where one statement fits strictly best.
    """
    try:
        found = measure("positivity_shift", evidence, model=model, scorer=scorer).details.get("confusion", {})
    except AesAuditError:
        found = {}
    counts = (
        [[found[asked][shown] for shown in EMOTIONS] for asked in EMOTIONS]
        if found
        else np.zeros((len(EMOTIONS), len(EMOTIONS)))
    )
    return np.array(counts, dtype=np.int64)


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
