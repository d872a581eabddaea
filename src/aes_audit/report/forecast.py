"""What a run would do, as people read it: a line per generator, reward and judge, and what is not known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from aes_audit.endpoints.budget import dollars

if TYPE_CHECKING:
    from aes_audit.gates.expectation import StopForecast
    from aes_audit.live.forecast import RunPlan, Step

__all__ = ["forecast_lines"]

_HEAD = ("who", "does", "total", "stored", "to do", "device time", "bytes", "USD")
_UNKNOWN = "unknown"


def forecast_lines(plan: RunPlan) -> Iterator[str]:
    """A table, the sums, and what early stopping may save."""
    groups: dict[tuple[str, str], list[Step]] = {}
    for step in plan.steps:
        groups.setdefault((step.work.who, step.work.does), []).append(step)
    rows = [_row(who, does, steps) for (who, does), steps in groups.items()]
    rows.append(("together", "", "", "", "", *_sums(plan.steps)))
    yield from _table([_HEAD, *rows])
    if any(step.work.at_most for step in plan.steps):
        yield "<= at most: what is edited is chosen among images that are drawn first"
    if any(step.seconds is None for step in plan.steps):
        yield "unknown time or bytes: nothing of it was measured on this kind of device in this store yet"
    yield f"budget: {'no --audit-budget' if plan.budget_usd is None else dollars(plan.budget_usd)}"
    yield from _stops(plan)
    yield "nothing was made: this was --audit-plan"


def _row(who: str, does: str, steps: Sequence[Step]) -> tuple[str, ...]:
    works = [step.work for step in steps]
    total, answers = sum(work.total for work in works), sum(work.answers for work in works)
    mark = "<= " if any(work.at_most for work in works) else ""
    counted = f"{does}, {answers:,} answers" if answers != total else does
    left = sum(work.left for work in works)
    return (who, counted, f"{mark}{total:,}", f"{total - left:,}", f"{mark}{left:,}", *_sums(steps))


def _sums(steps: Sequence[Step]) -> tuple[str, str, str]:
    """Device time, bytes and money; one unknown part makes a sum unknown."""
    paid = any(step.work.paid for step in steps)
    return (
        _sum((step.seconds for step in steps if not step.work.paid), _duration),
        _sum((step.bytes for step in steps), _size),
        _sum((step.usd for step in steps), dollars) if paid else "-",
    )


def _sum(parts: Iterable[float | None], shown: Callable[[float], str]) -> str:
    found = list(parts)
    known = sum(part for part in found if part is not None)
    if None in found:
        return f"{shown(known)} + {_UNKNOWN}" if known else _UNKNOWN
    return shown(known) if known else "-"


def _duration(seconds: float) -> str:
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _size(bytes_: float) -> str:
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if bytes_ >= size:
            return f"{bytes_ / size:.1f} {unit}"
    return f"{bytes_:.0f} B"


def _stops(plan: RunPlan) -> Iterator[str]:
    if plan.early_stop == "off":
        yield "early stopping: off"
    elif not plan.stops:
        yield f"early stopping ({plan.early_stop}): every pair is needed"
    for name, stop in plan.stops.items():
        # A bettor may stop sooner, by how much depends on what it sees.
        most = "at most " if stop and plan.early_stop == "anytime" else ""
        yield f"early stopping ({plan.early_stop}) of {name}: {most}{_stop(stop)}"


def _stop(stop: StopForecast | None) -> str:
    if stop is None:
        return "possible; what it saves depends on the base model's images"
    return (
        f"{stop.expected:.0f} of {stop.planned} pairs expected if its success rate is the threshold {stop.rate:g}, "
        f"{stop.all_fail} if every pair fails"
    )


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        # Names to the left, numbers to the right.
        cells = [
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
