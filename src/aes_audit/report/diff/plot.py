"""The plot of a difference: every tested measurement around "no change", the good side on the right."""

from __future__ import annotations

from aes_audit.report.diff.change import Change
from aes_audit.report.diff.difference import Difference
from aes_audit.report.diff.words import HEADINGS, cells, name_of, what_of
from aes_audit.report.html.items import worse_side
from aes_audit.report.html.plots.canvas import Plot, canvas, ink, plain, plot

__all__ = ["changes_plot"]

_COLOURS = {"worse": "fail", "better": "pass", "no evidence of change": "soft"}
_DESCRIPTION = (
    "One line per measurement that was tested: the dot is the mean difference item by item, B minus A, the bar its "
    "interval, the vertical line no change. Left of it B is worse. Each line has its own scale."
)


def changes_plot(found: Difference) -> Plot | None:
    """Mean differences with their intervals, each on a scale of its own; None where none has an interval."""
    shown = [change for change in found.changes if change.paired and change.paired.interval.bounds]
    if not shown:
        return None
    with canvas(10.4, 0.75 + 0.36 * len(shown)) as figure:
        axes = figure.subplots()
        for line, change in enumerate(shown):
            low, middle, high = _places(change)
            colour = ink(_COLOURS[change.direction])
            axes.plot([low, high], [line, line], color=colour, linewidth=2.6, solid_capstyle="butt")
            axes.plot([middle], [line], "o", color=colour, markersize=7)
        axes.axvline(0, color=ink("ink"), linewidth=1.2)
        axes.axvspan(-1.08, 0, color=ink("fail"), alpha=0.05, linewidth=0)
        axes.set_xlim(-1.08, 1.08)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        several = len({name_of(change) for change in shown}) > 1
        axes.set_yticks(range(len(shown)), [_label(change, several) for change in shown], color=ink("ink"))
        axes.set_xticks([-1, 0, 1], ["B is worse", "no change", "B is better"])
        right = axes.secondary_yaxis("right")
        right.set_yticks(range(len(shown)), [cells(change)[HEADINGS.index("item by item")] for change in shown])
        for spine in (*axes.spines.values(), *right.spines.values()):
            spine.set_visible(False)
        for side in (axes, right):
            side.tick_params(length=0)
        rows = [cells(change) for change in shown]
        return plot(figure, "changes", "Every tested measurement, item by item", _DESCRIPTION, HEADINGS, rows)


def _places(change: Change) -> tuple[float, float, float]:
    """Lower bound, mean and upper bound with the good side on the right, the farthest at 1 or -1."""
    assert change.paired is not None
    assert change.paired.interval.bounds is not None
    sign = -worse_side(change.after["metric"])
    values = (change.paired.interval.bounds[0], change.paired.mean, change.paired.interval.bounds[1])
    reach = max(map(abs, values)) or 1.0
    low, high = sorted((sign * values[0] / reach, sign * values[2] / reach))
    return low, sign * values[1] / reach, high


def _label(change: Change, several: bool) -> str:
    about = what_of(change).replace(" preference/", " ")
    return plain(f"{name_of(change)}: {about}" if several else about, 56)
