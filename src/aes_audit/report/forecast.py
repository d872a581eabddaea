"""What a run would do, as people read it: a line per generator, reward and judge, and what is not known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from aes_audit.endpoints.budget import dollars

if TYPE_CHECKING:
    from aes_audit.gates.expectation import StopForecast
    from aes_audit.live.forecast import RunPlan, Step

__all__ = ["forecast_lines"]

_HEAD = ("who", "does", "total", "stored", "to do", "passes", "device time", "bytes", "USD")
_UNKNOWN = "unknown"


def forecast_lines(plan: RunPlan) -> Iterator[str]:
    """A table, the sums, and what early stopping may save."""
    groups: dict[tuple[str, str], list[Step]] = {}
    for step in plan.steps:
        groups.setdefault((step.work.who, step.work.does), []).append(step)
    rows = [_row(who, does, steps) for (who, does), steps in groups.items()]
    rows.append(("together", "", "", "", "", *_sums(plan.steps)))
    yield from _table([_HEAD, *rows])
    if any(step.work.counted.run > step.work.left for step in plan.steps):
        yield "run: so many go through the model, since a batch of which one is missing is run whole"
    if any(step.work.at_most for step in plan.steps):
        yield "<= at most: what is edited is chosen among images that are drawn first"
    if any(step.seconds is None for step in plan.steps):
        yield "unknown time or bytes: nothing of it was measured on this kind of device in this store yet"
    if any(step.work.passes is None for step in plan.steps):
        yield "unknown passes: of a hosted model, or one whose pipeline or scheduler is not known here"
    yield f"budget: {'no --audit-budget' if plan.budget_usd is None else dollars(plan.budget_usd)}"
    yield from _stops(plan)
    yield "nothing was made: this was --audit-plan"


def _row(who: str, does: str, steps: Sequence[Step]) -> tuple[str, ...]:
    works = [step.work for step in steps]
    total, answers = (sum(getattr(work.counted, name) for work in works) for name in ("total", "answers"))
    mark = _mark(steps)
    counted = f"{does}, {answers:,} answers" if answers != total else does
    left, run = sum(work.left for work in works), sum(work.counted.run for work in works)
    to_do = f"{mark}{left:,}" + (f", {run:,} run" if run != left else "")
    return (who, counted, f"{mark}{total:,}", f"{total - left:,}", to_do, *_sums(steps))


def _mark(steps: Sequence[Step]) -> str:
    return "<= " if any(step.work.at_most for step in steps) else ""


def _sums(steps: Sequence[Step]) -> tuple[str, str, str, str]:
    """Forward passes, device time, bytes and money; one unknown part makes a sum unknown."""
    own = [step for step in steps if not step.work.paid]
    paid = [step for step in steps if step.work.paid]
    return (
        _sum(steps, lambda step: step.work.passes, _count),
        _sum(own, lambda step: step.seconds, _duration),
        _sum(steps, lambda step: step.bytes, _size),
        _sum(paid, lambda step: step.usd, dollars),
    )


def _sum(steps: Sequence[Step], part: Callable[[Step], float | None], shown: Callable[[float], str]) -> str:
    """`<=` where a part that counts is at most so much."""
    parts = [(step, part(step)) for step in steps]
    known = sum(found for _, found in parts if found is not None)
    mark = _mark([step for step, found in parts if found])
    if any(found is None for _, found in parts):
        return f"{mark}{shown(known)} + {_UNKNOWN}" if known else _UNKNOWN
    return f"{mark}{shown(known)}" if known else "-"


def _count(number: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number:,.0f}"


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
