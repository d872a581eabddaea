"""Rounds that an engine with many workers is given together: how many, and that nobody collects more for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.engines.looking import Incomplete, LookingEngine
from aes_audit.evidence.engines.protocol import Engine
from aes_audit.evidence.rounds import collect_rounds
from aes_audit.prompts.pairs import PromptPair, PromptSet

PROMPTS = PromptSet("numbered", tuple(PromptPair(str(n), f"{n}", f"{n}!", ("clarity",)) for n in range(100)), "digest")


class Workers(LocalEngine):
    """Wants as many rounds at once as it has workers."""

    workers = 3


@pytest.mark.parametrize(
    ("engine", "enough", "waves"),
    [(Workers(), 5, [6]), (Workers(), 7, [6, 12]), (Workers(), 19, [6, 12, 24]), (LocalEngine(), 19, [])],
)
def test_each_wave_is_twice_the_last_and_the_pairs_are_those_of_the_local_engine(
    engine: Engine, enough: int, waves: list[int]
) -> None:
    there: set[str] = set()
    made: list[int] = []
    counted: list[int] = []

    def collect(prompts: PromptSet, by: Engine) -> Iterator[Mapping[str, Any]]:
        items = [pair.id for pair in prompts.pairs]
        if isinstance(by, LookingEngine) and not there.issuperset(items):
            raise Incomplete("pairs are missing")
        there.update(items)
        yield from ({"item": item, "image": "pair", "scorer": "judge", "value": 1.0} for item in items)

    def ahead(prompts: PromptSet, by: Engine) -> Iterator[Mapping[str, Any]]:
        made.append(len(prompts.pairs))
        yield from collect(prompts, by)

    def stop(successes: Mapping[str, list[bool | None]]) -> bool:
        counted.append(len(successes["judge"]))
        return counted[-1] >= enough

    collect_rounds(collect, PROMPTS, engine, stop, step=2, deciding=["judge"], title="pairs", ahead=ahead)
    assert counted == list(range(2, enough + 2, 2))
    assert made == waves
