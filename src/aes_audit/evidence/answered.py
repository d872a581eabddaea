"""What a scorer answered about many images, in few bytes per answer."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, overload

from aes_audit.rewards.protocol import Answer

__all__ = ["Answered"]


class Answered(Sequence[Mapping[str, Answer]]):
    """Mappings query -> answer, one per question: kept as numbers, and answers only while somebody looks at them."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._queries: list[tuple[str, ...]] = []
        self._starts = array("q", [0])
        self._values = array("d")
        self._notes: list[str | Mapping[str, Any] | None] = []
        self._shared: dict[str, Mapping[str, Any]] = {}

    def append(self, queries: tuple[str, ...], answers: Mapping[str, Answer]) -> None:
        """What was answered about one more question: every query or none."""
        self._queries.append(queries if answers else ())
        for answer in (answers[query] for query in self._queries[-1]):
            self._values.append(math.nan if answer.value is None else answer.value)
            self._notes.append(answer.error if answer.value is None else self._share(answer.extra))
        self._starts.append(len(self._values))

    def __len__(self) -> int:
        """Number of questions."""
        return len(self._queries)

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Answer]: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Answer]]: ...

    def __getitem__(self, index: int | slice) -> Mapping[str, Answer] | Sequence[Mapping[str, Answer]]:
        """The answers to a question."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        queries = self._queries[index]
        start = self._starts[index % len(self)]
        return {query: self._answer(place) for place, query in enumerate(queries, start)}

    def _answer(self, place: int) -> Answer:
        value, note = self._values[place], self._notes[place]
        if math.isnan(value):
            return Answer(None, str(note))
        return Answer(value, None, note if isinstance(note, Mapping) else {})

    def _share(self, extra: Mapping[str, Any]) -> Mapping[str, Any] | None:
        # Most answers of a scorer tell one of a few things.
        return self._shared.setdefault(repr(extra), extra) if extra else None
