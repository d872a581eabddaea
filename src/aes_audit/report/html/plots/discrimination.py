"""The ROC curve of a reward: whether it ranks the image that follows a wide prompt above the one that does not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aes_audit.evidence.table import Evidence
from aes_audit.report.html.items import margins
from aes_audit.report.html.material import models_of
from aes_audit.report.html.plots.canvas import VERDICT_COLOURS, Plot, canvas, ink, plain, plot, quiet
from aes_audit.report.html.words import interval, number
from aes_audit.report.results import Entry

__all__ = ["roc", "roc_points"]

Floats = npt.NDArray[np.float64]


def roc_points(scores: Floats, positive: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """False and true positive rates from (0, 0) to (1, 1), one point per distinct score: ties are one diagonal step."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    true, false = np.cumsum(positive[order])[last], np.cumsum(~positive[order])[last]
    rates = (np.concatenate([[0.0], count / max(count[-1], 1)]) for count in (false, true))
    false_rate, true_rate = rates
    return false_rate, true_rate


def roc(entry: Entry, evidence: Evidence, name: str) -> Plot | None:
    """The curve behind `reward_auroc`; None where the truth gives one answer only."""
    scores, positive = _judged(entry, evidence)
    if positive.all() or not positive.any():
        return None
    false_rate, true_rate = roc_points(scores, positive)
    with canvas(4.4, 4.2) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=ink("line"), linewidth=1, linestyle=(0, (4, 3)))
        colour = ink(VERDICT_COLOURS[entry["verdict"]])
        axes.plot(false_rate, true_rate, color=colour, linewidth=2)
        axes.fill_between(false_rate, true_rate, color=colour, alpha=0.08, linewidth=0)
        axes.set_title(f"AUROC {number(entry['estimate'])} {interval(entry)}", loc="left", fontsize=10)
        axes.set_xlabel("wrongly preferred: I_a where I_o follows")
        axes.set_ylabel("rightly preferred: I_a where it follows")
        axes.set_aspect("equal")
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(-0.01, 1.01)
        quiet(axes)
        rows = [(f"{x:.3f}", f"{y:.3f}") for x, y in _thinned(false_rate, true_rate)]
        description = (
            f"ROC curve of {entry['scorer']} against {entry['details'].get('truth')}: {int(positive.sum())} pairs "
            f"where the wide image follows, {int((~positive).sum())} where the original does. The dashed diagonal is "
            "chance; a curve below it is a reward that misleads."
        )
        title = f"How well {plain(entry['scorer'])} tells which image follows"
        return plot(figure, name, title, description, ("false positive rate", "true positive rate"), rows)


def _judged(entry: Entry, evidence: Evidence) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Margins and whether the truth prefers the wide image, for rows that have both; ties of the truth are dropped."""
    known, truth = margins(entry, evidence), entry["details"].get("truth")
    scores, positive = [], []
    for model in models_of(entry, evidence):
        answers = evidence.values(model, "pairs", str(truth), "pair", "wide")
        for item, answer in answers[(answers == 0) | (answers == 1)].items():
            if (margin := known.get((model, str(item)))) is not None:
                scores.append(margin)
                positive.append(answer == 1)
    return np.array(scores, dtype=np.float64), np.array(positive, dtype=np.bool_)


def _thinned(x: Floats, y: Floats, most: int = 40) -> list[tuple[float, float]]:
    kept = np.unique(np.linspace(0, len(x) - 1, min(most, len(x))).astype(int))
    return [(float(x[each]), float(y[each])) for each in kept]
