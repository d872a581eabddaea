"""What keeps two measurements from being compared item by item, and what a reader of both runs should know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aes_audit.evidence.keys import digest
from aes_audit.evidence.schema import FACE
from aes_audit.gates.comparison import other_circumstances
from aes_audit.measures.names import METRIC_NEEDS, REWARD_SUBJECT
from aes_audit.report.diff.matching import Renamed
from aes_audit.report.diff.side import Side, part_of
from aes_audit.report.results import Entry

__all__ = ["obstacles", "run_notes", "threshold_note"]

_SETS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "pairs": (("prompts", "digest"),),
    "edits": (("prompts", "digest"), ("edits", "source"), ("edits", "strength")),
    "art": (("art", "digest"),),
    "emotion": (("emotion", "digest"), ("faces", "digest")),
}
"""Where a run's provenance says which items and texts a set holds."""

_RUN = ("profile", "aes_audit", "python", "early_stop", "order_seed")
_NAMES = ("name", "set", "pairs", "digest", "version")
_REVISION = ("weights", "loras")
"""Parts of a model's identity that its revision names already."""

_SHORT = 16
_CONDITION = ("kind", "at_least", "at_most", "margin", "confidence", "alpha", "interval", "max_missing", "advisory")


def obstacles(before: Side, after: Side, pair: tuple[Entry, Entry], names: Renamed) -> Iterator[str]:
    """Why a measurement of one run cannot be paired with its match, a clause each; none where it can.

    The conditions are those of a baseline (gates/comparison): the same items, texts and instruments of the same
    revisions. What is under audit is what may have changed.
    """
    old, new = pair
    yield from _other_names(old, new, names)
    yield from _other_sets(before, after, old["set"])
    yield from _other_instruments(before, after, pair, names)
    for entry, run in ((old, "the first run"), (new, "the second run")):
        if "early_stop" in entry["details"]:
            seen, planned = entry["details"].get("stopped_at"), entry["details"].get("planned")
            yield f"{run} stopped early at {seen} of {planned} items: run both with --audit-early-stop=off"
        elif entry["estimate"] is None:
            yield f"{run} has no number for it"


def run_notes(before: Side, after: Side, names: Renamed) -> Iterator[str]:
    """What differs between the runs and moves numbers a little, or not at all; a sentence each, without a full stop."""
    for old, new in names.assumed.items():
        kind = "generator" if old in before.generators else "reward"
        yield f"{old} is matched with {new}, because each run audits one {kind}"
    if told := other_circumstances({"provenance": after.run}, {"provenance": before.run}):
        yield f"other circumstances: {told}"
    for name in _RUN:
        first, second = before.run.get(name), after.run.get(name)
        if first != second and first is not None and second is not None:
            yield f"{name} was {_short(first)}, is {_short(second)}"
    for said in ("prompts", "art", "emotion", "faces"):
        yield from _told(f"set of {said}", _digest(before.run, said), _digest(after.run, said))
    for name in (*before.generators, *before.rewards):
        yield from _subject_notes(before, after, name, names(name) or name)
    for side, which in ((before, "first"), (after, "second")):
        if side.run.get("interrupted"):
            yield f"the {which} run was interrupted: what it did not reach is missing from it"
        if side.evidence is None:
            yield f"the {which} run has no evidence beside its results: give the folder that --audit-report wrote"
    if not before.run.get("models") or not after.run.get("models"):
        yield "recorded evidence names no prompts and no revisions: that they are the same is taken for granted"


def threshold_note(old: Entry, new: Entry) -> str:
    """How the gate differs; empty where it is the same."""
    first, second = ({name: (entry["threshold"] or {}).get(name) for name in _CONDITION} for entry in (old, new))
    changed = [
        f"{name} was {_short(first[name])}, is {_short(second[name])}" for name in first if first[name] != second[name]
    ]
    return f"another threshold: {', '.join(changed)}" if changed else ""


def _other_names(old: Entry, new: Entry, names: Renamed) -> Iterator[str]:
    if old["metric"] in REWARD_SUBJECT and names(old["model"]) != new["model"]:
        yield f"pictures were of {old['model']}, are of {new['model']}"
    elif old["metric"] in REWARD_SUBJECT and old["model"] != new["model"]:
        yield f"pictures were of {old['model']}, are of its successor {new['model']}"
    if names(old["base_model"]) != new["base_model"]:
        yield f"the base model was {old['base_model']}, is {new['base_model']}"
    first, second = (part_of(entry["details"], "reference").get("model") for entry in (old, new))
    if names(first) != second:
        yield f"the reference population was of {first}, is of {second}"


def _other_sets(before: Side, after: Side, set_: str) -> Iterator[str]:
    for said, key in _SETS.get(set_, ()):
        old, new = (part_of(side.run, said).get(key) for side in (before, after))
        if old != new and old is not None and new is not None:
            words = f"the {said} set" if key == "digest" else f"{key} of {said}"
            yield f"{words} was {_short(old)}, is {_short(new)}"


def _other_instruments(before: Side, after: Side, pair: tuple[Entry, Entry], names: Renamed) -> Iterator[str]:
    first, second = (_instruments(side, entry) for side, entry in ((before, pair[0]), (after, pair[1])))
    for name, identity in first.items():
        if (now := second.get(names(name) or name)) is not None:
            yield from _told(name, identity, now)


def _instruments(side: Side, entry: Entry) -> Mapping[str, Mapping[str, Any]]:
    """Revision and settings of every instrument of a measurement: all that is in the number but its subject."""
    models = {**part_of(side.run, "models"), **part_of(side.run, "preference_judges")}
    reward = entry["metric"] in REWARD_SUBJECT
    details = entry["details"]
    read = [entry["base_model"], details.get("truth"), part_of(details, "reference").get("model")]
    read += map(str, details.get("judges") or ())
    if entry["set"] == "edits":
        read.append(part_of(side.run, "edits").get("source"))
    if reward:
        read += [name for name in models if name == entry["model"] or name in entry["model"].split("+")]
    elif METRIC_NEEDS[entry["metric"]].scorer != "images":
        read.append(entry["scorer"])
    known = [each for name in filter(None, read) for each in _stands_for(str(name), side, models)]
    return {name: _flat(models[name]) for name in known}


def _stands_for(name: str, side: Side, models: Mapping[str, Any]) -> Iterator[str]:
    """The pinned models behind a scorer's name: itself, the matcher of a face, or what a rule about pairs reads."""
    plain = name.removesuffix(FACE)
    if plain in models:
        yield plain
        return
    kind, _, rest = name.partition("/")
    if kind not in ("judge", "preference"):
        return
    drawn = {entry[which] for entry in side.entries for which in ("model", "base_model")}
    judges = [each for each in models if each not in drawn]
    yield from [each for each in judges if each.replace("/", "-") == rest] or judges


def _subject_notes(before: Side, after: Side, old: str, new: str) -> Iterator[str]:
    first, second = (part_of(part_of(side.run, "models"), name) for side, name in ((before, old), (after, new)))
    if not first or not second:
        return
    if first == second:
        yield f"{old}: both runs audited the same weights with the same settings"
    else:
        yield from _told(new, _flat(first), _flat(second))


def _told(about: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """What differs under which name, in one clause; nothing where nothing does."""
    changed = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    if changed:
        told = (f"{name} was {_short(old.get(name))}, is {_short(new.get(name))}" for name in changed)
        yield f"{about}: {', '.join(told)}"


def _flat(about: Mapping[str, Any], prefix: str = "") -> Mapping[str, Any]:
    """Revision and settings of a model with dotted names; a list by its digest."""
    found: dict[str, Any] = {}
    for key, value in about.items():
        if isinstance(value, Mapping):
            if key not in _REVISION:
                found |= _flat(value, "" if key == "identity" else f"{prefix}{key}.")
        elif key not in _REVISION:
            found[f"{prefix}{key}"] = digest({key: value}) if isinstance(value, list) else value
    return found


def _digest(run: Mapping[str, Any], said: str) -> Mapping[str, Any]:
    return {key: value for key, value in part_of(run, said).items() if key in _NAMES}


def _short(value: Any) -> str:
    """A value as people read it; of a digest its beginning."""
    text = str(value).replace("sha256:", "")
    return "+".join(part[:_SHORT] if len(part) >= 40 and " " not in part else part for part in text.split("+"))
