"""What people can be asked about: the pairs, or the single pictures, that a table of evidence knows of."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from aes_audit.errors import MissingScores, UnknownName, UsageError
from aes_audit.measures.agreement import TRUTH
from aes_audit.measures.readings import JUDGE

if TYPE_CHECKING:
    from aes_audit.evidence.table import Evidence

__all__ = ["ANSWERS", "PAIR_IMAGES", "PREFERENCE", "Unit", "pair_units", "picture_units", "stratifying_judge"]

PREFERENCE = "preference"
PAIR_IMAGES = ("original", "wide")
ANSWERS: Mapping[float, str] = {0.0: "original", 0.5: "tie", 1.0: "wide"}
"""What a value of `preference/<judge>` says, and the strata of a sample of pairs."""
_LEVELS = ("low", "middle", "high")
_UNJUDGED = "unjudged"


@dataclass(frozen=True, slots=True)
class Unit:
    """One pair, or one picture, with everything that raters must not see."""

    model: str
    """The generator."""
    item: str
    """The `item` that the people's answers get: the pair's, or `PAIR/IMAGE` for a picture of a pair."""
    images: Mapping[str, str | None]
    """Label of each picture -> SHA-256 of its file in the store, None where the table does not tell."""
    text: str | None
    """The text that the pictures are held against; None where only the picture counts."""
    stratum: str
    """What the sample is stratified by."""
    judged: Mapping[str, float] = field(default_factory=dict)
    """Scorer -> its answer about this unit: `preference/<judge>`, or `judge/<dimension>`."""
    pair: str | None = None
    """The item that the picture belongs to in the table, when `item` is made from it."""

    @property
    def source(self) -> str:
        """The item that the table knows the pictures under."""
        return self.pair if self.pair is not None else self.item


def stratifying_judge(evidence: Evidence, models: Sequence[str], named: str | None) -> str:
    """The preference judge whose answers stratify: the one named, with or without `preference/`, else the only one."""
    there = sorted({name for model in models for name in evidence.scorers(model, "pairs") if _is_preference(name)})
    if named is not None:
        full = named if _is_preference(named) else f"{PREFERENCE}/{named}"
        if full not in there:
            raise UnknownName("preference judge in the evidence", full, there)
        return full
    if len(there) != 1:
        several = f"several could stratify ({', '.join(there)}): name one with --judge" if there else "it has none"
        raise UsageError(f"the evidence must have the answers of a preference judge: {several}.")
    return there[0]


def pair_units(evidence: Evidence, models: Sequence[str], judge: str, texts: Mapping[str, str]) -> list[Unit]:
    """Every pair that `judge` answered about and that has both pictures, in key order; stratified by its answer.

    `texts` maps items to the wide prompt. Raises UsageError for an item without a text, MissingScores for no pair.
    """
    found: list[Unit] = []
    for model in models:
        digests = _digests(evidence, model, "pairs", PAIR_IMAGES)
        scorers = [name for name in evidence.scorers(model, "pairs") if _is_preference(name)]
        answers = {name: _known(evidence, model, "pairs", name, "pair", "wide") for name in scorers}
        for item, answer in answers.get(judge, {}).items():
            if item not in texts:
                raise UsageError(f"item {item!r} of {model} is in no pair of the prompts: name its set with --prompts.")
            images = digests.get(item)
            if images is None:
                continue
            judged = {name: values[item] for name, values in answers.items() if item in values}
            found.append(Unit(model, item, images, texts[item], ANSWERS[answer], judged))
    return _some(found, f"pair with both pictures and an answer of {judge}")


def picture_units(evidence: Evidence, models: Sequence[str], dimensions: Collection[str]) -> list[Unit]:
    """Every picture of the pairs, or where the table has none of the set `ratings`; stratified by the judge's answer.

    The stratum is the class nearest to the mean of J over `dimensions`. Raises MissingScores for no picture.
    """
    found = [unit for model in models for unit in _pictures(evidence, model, dimensions)]
    return _some(found, "picture")


def _pictures(evidence: Evidence, model: str, dimensions: Collection[str]) -> Iterator[Unit]:
    set_, images = ("pairs", PAIR_IMAGES) if evidence.items(model, "pairs") else ("ratings", ("work",))
    for image in images:
        digests = _digests(evidence, model, set_, (image,))
        scorers = [f"{JUDGE}/{name}" for name in dimensions if evidence.has(model, set_, f"{JUDGE}/{name}")]
        answers = {name: _known(evidence, model, set_, name, image, None) for name in scorers}
        for item, pictures in digests.items():
            judged = {name: values[item] for name, values in answers.items() if item in values}
            mean = sum(judged.values()) / len(judged) if judged else None
            stratum = _UNJUDGED if mean is None else _LEVELS[min(2, max(0, round(mean)))]
            named = item if image == "work" else f"{item}/{image}"
            yield Unit(model, named, pictures, None, stratum, judged, None if named == item else item)


def _digests(evidence: Evidence, model: str, set_: str, images: Sequence[str]) -> dict[str, Mapping[str, str | None]]:
    """Item -> digests of its pictures, for items that have all of them: a picture with a fault is none."""
    rows = evidence.rows(model, set_, ("item", "image", "scorer", "value", "image_sha256"))
    # What people said is no sign of a picture, and a scorer's error is no sign against one.
    rows = rows[rows["image"].isin(list(images)) & ~rows["scorer"].str.startswith(f"{TRUTH}/")]
    told = "image_sha256" in rows
    known = rows["image_sha256"] if told else pd.Series(None, index=rows.index, dtype="str")
    there = known.notna() if told else rows["value"].notna()
    found: dict[str, dict[str, str | None]] = {}
    for item, image, digest in zip(rows["item"][there], rows["image"][there], known[there], strict=True):
        found.setdefault(str(item), {})[str(image)] = None if digest is None or digest != digest else str(digest)
    return {item: found[item] for item in sorted(found) if len(found[item]) == len(images)}


def _known(evidence: Evidence, model: str, set_: str, scorer: str, image: str, prompt: str | None) -> dict[str, float]:
    values = evidence.values(model, set_, scorer, image, prompt).dropna()
    return {str(item): float(value) for item, value in values.items()}


def _some(units: list[Unit], what: str) -> list[Unit]:
    if not units:
        raise MissingScores(f"the evidence has no {what}: nothing can be rated.")
    return units


def _is_preference(scorer: str) -> bool:
    return scorer.startswith(f"{PREFERENCE}/")
