"""Score distributions of a reward: what the original and the wide images score under the original prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aes_audit.evidence.table import Evidence
from aes_audit.report.html.plots.canvas import Plot, canvas, ink, plain, plot, quiet

__all__ = ["distributions"]

_IMAGES = (("original", "I_o, the conventional image", "second"), ("wide", "I_a, the unconventional one", "first"))


def distributions(evidence: Evidence, models: Sequence[str], scorer: str, name: str) -> Plot | None:
    """One panel per generator on a common scale; None where the table has no such scores."""
    found = {model: [_scores(evidence, model, scorer, image) for image, *_ in _IMAGES] for model in models}
    found = {model: both for model, both in found.items() if all(len(scores) > 1 for scores in both)}
    if not found:
        return None
    everything = np.concatenate([scores for both in found.values() for scores in both])
    edges = np.histogram_bin_edges(everything, bins=min(40, max(10, len(everything) // 12)))
    with canvas(7.2, 0.9 + 1.5 * len(found)) as figure:
        panels = figure.subplots(len(found), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for axes, (model, both) in zip(panels, found.items(), strict=True):
            for scores, (_, label, colour) in zip(both, _IMAGES, strict=True):
                axes.hist(scores, edges, histtype="stepfilled", color=ink(colour), alpha=0.28, linewidth=0)
                axes.hist(scores, edges, histtype="step", color=ink(colour), linewidth=1.6, label=label)
                axes.axvline(float(scores.mean()), color=ink(colour), linewidth=1.4, linestyle=(0, (4, 2)))
            axes.set_title(plain(model, 60), loc="left", fontsize=10)
            axes.set_ylabel("pairs")
            quiet(axes)
        panels[-1].set_xlabel(f"{plain(scorer)}, under the original prompt (dashed: mean)")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=2, labelcolor=ink("ink"))
        rows = [
            _row(model, label, scores)
            for model, both in found.items()
            for scores, (_, label, _) in zip(both, _IMAGES, strict=True)
        ]
        description = (
            f"Histograms of {scorer} under the original prompt. A generator that follows unconventional prompts moves "
            "the second distribution to the left."
        )
        columns = ("model", "image", "n", "mean", "SD", "lowest", "median", "highest")
        return plot(figure, name, f"Scores of {scorer}, image by image", description, columns, rows)


def _scores(evidence: Evidence, model: str, scorer: str, image: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    values = evidence.values(model, "pairs", scorer, image, "original").dropna().to_numpy()
    return np.asarray(values, dtype=np.float64)


def _row(model: str, label: str, scores: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[str]:
    shown = (scores.mean(), scores.std(ddof=1), scores.min(), np.median(scores), scores.max())
    return [model, label, str(len(scores)), *(f"{value:.4g}" for value in shown)]
