"""Pairs collected in rounds, until somebody says that there are enough of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from aes_audit.errors import InfrastructureError
from aes_audit.evidence.columns import RowColumns
from aes_audit.evidence.engines.looking import Incomplete, LookingEngine
from aes_audit.evidence.engines.protocol import Engine
from aes_audit.evidence.images import repeats_earlier
from aes_audit.prompts.pairs import PromptPair, PromptSet

__all__ = ["Collect", "Stop", "collect_rounds"]

Stop = Callable[[Mapping[str, list[bool | None]]], bool]
"""Told, per preference judge, which pairs succeeded so far; says whether that is enough."""

Collect = Callable[[PromptSet, Engine], Iterator[Mapping[str, Any]]]
"""The rows of a set of pairs, made by an engine where the store lacks them."""


def collect_rounds(
    collect: Collect,
    prompts: PromptSet,
    engine: Engine,
    stop: Stop,
    *,
    step: int,
    deciding: Sequence[str],
    title: str,
    ahead: Collect | None = None,
) -> RowColumns:
    """The rows of the first rounds of `step` pairs, as many as are needed; `deciding` are the preference judges.

    An engine with many workers is given many rounds at once, so that none of them waits: `ahead` makes of them what
    may be made in vain; None where nothing may. The rounds themselves, and so the pairs that are collected, are the
    same with every engine.
    """
    gathered, drawn = _Gathered.of(deciding), dict[str, str]()
    waves = _Waves(ahead, prompts, step, engine)
    with engine.progress.bar(title, done=0, total=len(prompts.pairs), unit="pair") as tick:
        for start in range(0, len(prompts.pairs), step):
            pairs = prompts.pairs[start : start + step]
            found = _round(collect, _only(prompts, pairs), start, waves)
            if repeats_earlier(found, drawn):
                # A picture of an earlier round came again: then neither of the two answers its prompt.
                gathered = _Gathered.of(deciding)
                gathered.add(collect(_only(prompts, prompts.pairs[: start + step]), engine))
            else:
                gathered.add(found)
            tick(len(pairs))
            if stop(gathered.successes):
                break
    return gathered.columns


def _round(collect: Collect, pairs: PromptSet, start: int, waves: _Waves) -> list[Mapping[str, Any]]:
    try:
        return list(collect(pairs, LookingEngine(waves.engine.progress)))
    except Incomplete:
        waves.make_from(start)
        return list(collect(pairs, waves.engine))


@dataclass
class _Waves:
    """Rounds that are made together: at first one for each worker, and each time twice as many.

    With every wave each worker loads every model anew, so that there should be few of them; and what a rule for
    stopping spares should not be made, so that a wave is hardly larger than all those before it together.
    """

    ahead: Collect | None
    prompts: PromptSet
    step: int
    engine: Engine
    rounds: int = 0
    """In the latest wave."""

    def make_from(self, start: int) -> None:
        """Make the next wave from the pair at this place, where there are workers for one."""
        if self.ahead is None or (workers := self.engine.workers) < 2:
            return
        self.rounds = 2 * self.rounds or workers
        pairs = self.prompts.pairs[start : start + self.rounds * self.step]
        # What goes wrong there is said again by the round that it belongs to, if that one is needed.
        with suppress(InfrastructureError), self.engine.progress.beneath():
            deque(self.ahead(_only(self.prompts, pairs), self.engine), maxlen=0)


def _only(prompts: PromptSet, pairs: Sequence[PromptPair]) -> PromptSet:
    return replace(prompts, pairs=tuple(pairs))


@dataclass(frozen=True, slots=True)
class _Gathered:
    """The rounds so far."""

    successes: Mapping[str, list[bool | None]]
    """Preference judge -> whether each pair succeeded, in plan order; None where that is missing."""
    columns: RowColumns = field(default_factory=RowColumns)
    """Their rows."""

    @classmethod
    def of(cls, deciding: Iterable[str]) -> _Gathered:
        """Nothing yet."""
        return cls({name: [] for name in deciding})

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take over one more round."""
        self.columns.extend(map(self._noted, rows))

    def _noted(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        if row["image"] == "pair":
            self.successes[row["scorer"]].append(None if row["value"] is None else row["value"] == 1)
        return row
