"""The forest plot: every gated measurement with its interval, around what was asked of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aes_audit.measures.catalogue import METRICS
from aes_audit.measures.measurement import Measurement
from aes_audit.report.html.plots.canvas import VERDICT_COLOURS, Plot, canvas, ink, plain, plot
from aes_audit.report.html.words import asked, interval, number, scored_by
from aes_audit.report.outcome import outcome
from aes_audit.report.results import Entry

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["forest"]

_MARKS = {"base": "D", "baseline": "s", "paper": "^"}
_NAMES = {"base": "base model", "baseline": "baseline", "paper": "paper"}


@dataclass(frozen=True, slots=True)
class _Row:
    entry: Entry
    limit: float
    others: Mapping[str, float]

    @property
    def bounds(self) -> Sequence[float]:
        found: Sequence[float] = self.entry["interval"] or (self.entry["estimate"],) * 2
        return found

    def place(self, value: float) -> float:
        """Where a value stands: 0 is what was asked, the right is the good side, 1 the farthest value of the row."""
        sign = -1.0 if METRICS[self.entry["metric"]].bad == "up" else 1.0
        reach = max(abs(each - self.limit) for each in (*self.bounds, self.entry["estimate"], *self.others.values()))
        return sign * (value - self.limit) / (reach or 1.0)


def forest(entries: Sequence[Entry], base: Mapping[int, Measurement]) -> Plot | None:
    """Each gated measurement on a scale of its own, so that units need not be alike; None where nothing is gated.

    `base` has the base model's measurement by the position of an entry in `entries`.
    """
    rows = [row for position, entry in enumerate(entries) if (row := _row(entry, base.get(position)))]
    if not rows:
        return None
    with canvas(10.4, 0.75 + 0.42 * len(rows)) as figure:
        axes = figure.subplots()
        axes.axvline(0, color=ink("ink"), linewidth=1.2)
        axes.axvspan(-1.08, 0, color=ink("fail"), alpha=0.05, linewidth=0)
        for line, row in enumerate(rows):
            _draw(axes, line, row)
        axes.set_xlim(-1.08, 1.08)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_yticks(range(len(rows)), [_label(row.entry) for row in rows], color=ink("ink"))
        axes.set_xticks([-1, 0, 1], ["bad side", "what was asked", "good side"])
        right = axes.secondary_yaxis("right")
        right.set_yticks(range(len(rows)), [_numbers(row.entry) for row in rows])
        for side in (axes, right):
            side.tick_params(length=0)
            for spine in side.spines.values():
                spine.set_visible(False)
        _explain(figure, [name for name in _MARKS if any(name in row.others for row in rows)])
        return plot(figure, "forest", "Every gate of this run", _DESCRIPTION, _COLUMNS, [_cells(row) for row in rows])


def _draw(axes: Axes, line: int, row: _Row) -> None:
    colour = ink(VERDICT_COLOURS[outcome(row.entry)])
    axes.plot(
        [row.place(bound) for bound in row.bounds], [line] * 2, color=colour, linewidth=2.6, solid_capstyle="butt"
    )
    axes.plot([row.place(row.entry["estimate"])], [line], "o", color=colour, markersize=7)
    for name, value in row.others.items():
        axes.plot([row.place(value)], [line], **_mark(name))


def _explain(figure: Figure, names: Sequence[str]) -> None:
    """What the hollow marks are."""
    from matplotlib.lines import Line2D

    keys = [Line2D([], [], label=_NAMES[name], **_mark(name)) for name in names]
    if keys:
        figure.legend(handles=keys, loc="outside lower right", ncols=len(keys), labelcolor=ink("soft"))


def _mark(name: str) -> dict[str, Any]:
    hollow = {"linestyle": "none", "markerfacecolor": "none", "markeredgecolor": ink("ink")}
    return {**hollow, "marker": _MARKS[name], "markersize": 6}


_DESCRIPTION = (
    "One line per gate: the dot is the estimate, the bar its interval, the vertical line what was asked. Left of it is "
    "the bad side. Each line has its own scale; the numbers stand beside it."
)
_COLUMNS = ("measurement", "estimate", "interval", "asked", "base model", "baseline", "paper", "verdict")


def _row(entry: Entry, base: Measurement | None) -> _Row | None:
    threshold = entry["threshold"] or {}
    limit = threshold.get("at_least", threshold.get("at_most"))
    if "margin" in threshold:
        limit = threshold["margin"] * (1.0 if METRICS[entry["metric"]].bad == "up" else -1.0)
    if limit is None or entry["estimate"] is None:
        return None
    known = {
        "base": base.estimate if base else None,
        "baseline": (entry["baseline"] or {}).get("estimate"),
        "paper": (entry["published"] or {}).get("estimate"),
    }
    return _Row(entry, float(limit), {name: float(value) for name, value in known.items() if value is not None})


def _label(entry: Entry) -> str:
    group = f" ({entry['group']})" if entry["group"] else ""
    return plain(f"{entry['metric']}{group} · {scored_by(entry).removeprefix('preference/')}", 56)


def _numbers(entry: Entry) -> str:
    return f"{number(entry['estimate'], entry['metric'])} {interval(entry)}"


def _cells(row: _Row) -> list[str]:
    entry = row.entry
    others = [number(row.others.get(name), entry["metric"]) for name in _MARKS]
    found = [number(entry["estimate"], entry["metric"]), interval(entry), asked(entry)]
    return [_label(entry), *found, *others, outcome(entry)]
