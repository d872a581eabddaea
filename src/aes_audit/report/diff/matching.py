"""Which measurement of one run answers the same question as which of the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aes_audit.errors import UsageError
from aes_audit.measures.names import REWARD_SUBJECT
from aes_audit.report.diff.side import Side, part_of
from aes_audit.report.results import Entry

__all__ = ["Matched", "Renamed", "match", "renamed"]


@dataclass(frozen=True, slots=True)
class Renamed:
    """What is called differently in the two runs."""

    names: Mapping[str, str]
    """Name in the second run by the name in the first."""
    assumed: Mapping[str, str]
    """Those of them that nobody gave: the one generator, or the one reward, that each run audits."""

    def __call__(self, name: str | None) -> str | None:
        """What the first run's name is in the second; None where another model has taken the name there."""
        if name is None or name in self.names:
            return self.names.get(name or "")
        return None if name in self.names.values() else name


@dataclass(frozen=True, slots=True)
class Matched:
    """All measurements of two runs."""

    pairs: tuple[tuple[Entry, Entry], ...]
    """Before and after."""
    new: tuple[Entry, ...]
    """Only in the second run."""
    vanished: tuple[Entry, ...]
    """Only in the first."""


def renamed(before: Side, after: Side, given: Iterable[str] = ()) -> Renamed:
    """Read every NAME_A=NAME_B; without one for it, the only generator of each run is the same, and so is a reward.

    Raises UsageError for a name that a run does not have, and for one that is given twice.
    """
    names: dict[str, str] = {}
    for text in given:
        old, new = _parted(text, before, after)
        if old in names or new in names.values():
            raise UsageError(f"--model {text!r} names something that another --model names: give each name once.")
        names[old] = new
    assumed: dict[str, str] = {}
    for olds, news in ((before.generators, after.generators), (before.rewards, after.rewards)):
        if len(olds) == len(news) == 1 and olds != news and olds[0] not in names and news[0] not in names.values():
            assumed[olds[0]] = news[0]
    return Renamed({**assumed, **names}, assumed)


def match(before: Side, after: Side, names: Renamed) -> Matched:
    """Pair measurements by audit, metric, subject, scorer, truth, group and set.

    What the audit is called, which base, pictures or population stand behind a number, may differ where only one
    measurement on each side is left for it: that pair is then shown as not comparable, and not as new and vanished.
    """
    pairs: list[tuple[Entry, Entry]] = []
    olds, news = list(before.entries), list(after.entries)
    for key in (_exact, _loose):
        olds, news = _paired(olds, news, names, key, pairs)
    return Matched(tuple(pairs), tuple(news), tuple(olds))


_Key = Callable[[Entry, Renamed | None], tuple[Any, ...]]


def _paired(
    olds: Sequence[Entry], news: Sequence[Entry], names: Renamed, key: _Key, pairs: list[tuple[Entry, Entry]]
) -> tuple[list[Entry], list[Entry]]:
    """Move what matches into `pairs`; returns what is left on both sides. Several under one key match nothing loose."""
    waiting: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in news:
        waiting.setdefault(key(entry, None), []).append(entry)
    known = [key(entry, names) for entry in olds]
    left: list[Entry] = []
    for entry, name in zip(olds, known, strict=True):
        found = waiting.get(name, [])
        if found and (key is _exact or len(found) == known.count(name) == 1):
            pairs.append((entry, found.pop(0)))
        else:
            left.append(entry)
    return left, [entry for entry in news if any(entry is each for each in waiting[key(entry, None)])]


def _exact(entry: Entry, names: Renamed | None) -> tuple[Any, ...]:
    reference = part_of(entry["details"], "reference").get("model")
    behind = [_named(name, names) for name in (entry["base_model"], reference, entry["model"])]
    return (entry["audit"], *behind, *_loose(entry, names))


def _loose(entry: Entry, names: Renamed | None) -> tuple[Any, ...]:
    details = entry["details"]
    truth = details.get("truth") or tuple(map(str, details.get("judges") or ()))
    reward = entry["metric"] in REWARD_SUBJECT
    scorer = _named(entry["scorer"], names) if reward else entry["scorer"]
    return (entry["metric"], _named(entry["subject"], names), scorer, truth, entry["group"], entry["set"])


def _named(name: str | None, names: Renamed | None) -> str | None:
    return name if names is None else names(name)


def _parted(text: str, before: Side, after: Side) -> tuple[str, str]:
    """Names hold `=` themselves, so it is divided where both sides are names of their runs."""
    olds, news = _all_names(before), _all_names(after)
    places = [place for place, letter in enumerate(text) if letter == "="]
    found = [(text[:at], text[at + 1 :]) for at in places if text[:at] in olds and text[at + 1 :] in news]
    if len(found) == 1:
        return found[0]
    raise UsageError(
        f"--model {text!r} is no NAME_A=NAME_B of these runs: A has {', '.join(sorted(olds))}; "
        f"B has {', '.join(sorted(news))}."
    )


def _all_names(side: Side) -> set[str]:
    bases = {entry["base_model"] for entry in side.entries if entry["base_model"]}
    return {*side.generators, *side.rewards, *bases, *(entry["model"] for entry in side.entries)}
