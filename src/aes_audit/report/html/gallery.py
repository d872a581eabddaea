"""The gallery as data: every pair with its pictures, prompts, scores and answers, and what it can be sorted by."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aes_audit.evidence.schema import FAULT, ORIGINAL_FIRST, SELECTED, WIDE_FIRST
from aes_audit.evidence.selection import flags
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.report.html.items import Place, badness, margins
from aes_audit.report.html.material import SIDES, Material
from aes_audit.report.html.worst import failed, together

__all__ = ["PAIR", "Shot", "gallery", "shots"]

PAIR = "pair"

_DIGEST = "image_sha256"
_CELLS = (("0", "original"), ("0", "wide"), ("1", "original"), ("1", "wide"))
"""Image and text of the four scores: r(I_o, p_o), r(I_o, p_a), r(I_a, p_o), r(I_a, p_a)."""


@dataclass(slots=True)
class Shot:
    """What one generator made of one item, and what was said about it."""

    digests: dict[str, str] = field(default_factory=dict)
    """Digest of each image that was made, by its label."""
    lost: dict[str, str] = field(default_factory=dict)
    """Why an image is not there, by its label."""
    rewards: dict[str, dict[tuple[str, str | None], float]] = field(default_factory=dict)
    """Per reward the scores by image and text."""
    judged: dict[str, dict[str, float]] = field(default_factory=dict)
    """Per dimension the judge's score by image."""
    answers: dict[str, dict[str, float | None]] = field(default_factory=dict)
    """Per preference judge `value`, and its answers per order where it looked: `original_first`, `wide_first`."""
    asked: set[str] = field(default_factory=set)
    """Dimensions that the evidence marks as asked for."""


def shots(material: Material) -> Mapping[tuple[str, str, str], Shot]:
    """Every (set, generator, item) of the evidence that has pictures or could have, with what is known of it."""
    found: dict[tuple[str, str, str], Shot] = {}
    for row in _rows(material):
        shot = found.setdefault((row["set"], row["model"], row["item"]), Shot())
        _note_image(shot, row)
        if row["value"] is not None:
            _note_value(shot, row)
    return found


def gallery(material: Material, pictures: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """What the page's script shows; JSON values only. `pictures` has the files of each digest that was found.

    Items of the base model stand beside those of the audited ones, or alone where nothing else was audited.
    """
    known = shots(material)
    orders, scores = _orders(material)
    entries = [
        _item(material, place, shot, known, pictures, [score.get((place[1], place[2])) for score in scores])
        for place, shot in sorted(known.items())
        if _listed(material, place)
    ]
    return {
        "sides": {name: list(sides) for name, sides in SIDES.items()},
        "orders": orders,
        "items": entries,
        "pictures": material.find is not None,
    }


def _listed(material: Material, place: tuple[str, str, str]) -> bool:
    set_, model, _ = place
    if set_ == "pairs" and model == material.base_model and model not in material.audited:
        return False
    return model in material.audited or not material.audited


def _rows(material: Material) -> Iterator[dict[str, Any]]:
    if material.evidence is None:
        return
    frame = material.evidence.frame
    frame = frame[frame["set"].isin(list(SIDES))]
    names = [*_READ, *(name for name in _EXTRA if name in frame)]
    # Files of text hold "false", which is true to Python.
    columns = [(flags(frame) == 1).tolist() if name == SELECTED else frame[name].tolist() for name in names]
    for cells in zip(*columns, strict=True):
        yield {name: _plain(cell) for name, cell in zip(names, cells, strict=True)}


def _plain(cell: object) -> str | float | None:
    """Text, number or flag; None for nothing, and for what else an extra column may hold."""
    return cell if isinstance(cell, str | int | float) and cell == cell else None


_READ = ("set", "model", "item", "image", "prompt", "scorer", "value", "error")
_EXTRA = (_DIGEST, FAULT, SELECTED, ORIGINAL_FIRST, WIDE_FIRST)


def _note_image(shot: Shot, row: Mapping[str, Any]) -> None:
    if row["image"] == PAIR:
        return
    if digest := row.get(_DIGEST):
        shot.digests[row["image"]] = str(digest)
    elif row.get(FAULT) and row["error"]:
        shot.lost.setdefault(row["image"], str(row["error"]))


def _note_value(shot: Shot, row: Mapping[str, Any]) -> None:
    kind, _, rest = row["scorer"].partition("/")
    if row["image"] == PAIR:
        orders = {"original_first": ORIGINAL_FIRST, "wide_first": WIDE_FIRST}
        told = {name: _number(row.get(column)) for name, column in orders.items()}
        shot.answers[row["scorer"]] = {"value": row["value"], **told}
    elif kind == "judge" and rest in DIMENSIONS:
        shot.judged.setdefault(rest, {})[row["image"]] = row["value"]
        if row.get(SELECTED):
            shot.asked.add(rest)
    else:
        shot.rewards.setdefault(row["scorer"], {})[row["image"], row["prompt"]] = row["value"]


def _item(
    material: Material,
    place: tuple[str, str, str],
    shot: Shot,
    known: Mapping[tuple[str, str, str], Shot],
    pictures: Mapping[str, Mapping[str, Any]],
    scores: Sequence[float | None],
) -> Mapping[str, Any]:
    set_, model, item = place
    text = material.texts.get(item)
    base = known.get((set_, material.base_model or "", item)) if model != material.base_model else None
    shown = [(model, shot), *([(material.base_model, base)] if base else [])]
    return {
        "set": set_,
        "item": item,
        "model": model,
        "original": text.original if text else None,
        "wide": text.wide if text else None,
        "asked": list(text.dimensions) if text else [name for name in DIMENSIONS if name in shot.asked],
        "outcome": _outcome(shot),
        "shots": [_shot(name, each, SIDES[set_], pictures) for name, each in shown],
        "scores": [None if score is None else _rounded(score) for score in scores],
    }


def _outcome(shot: Shot) -> str | None:
    """What the judges say: success, tie, fail; missing where an image is; None without a judge."""
    if shot.lost:
        return "missing"
    values = [answer["value"] for _, answer in sorted(shot.answers.items())]
    if not values:
        return None
    # With several judges the one that finds most fault: nobody looks for a success under "fail".
    worst = min(value for value in values if value is not None)
    return "success" if worst == 1 else "tie" if worst > 0 else "fail"


def _shot(
    name: str | None, shot: Shot, sides: Sequence[str], pictures: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any]:
    return {
        "model": name,
        "images": [_picture(shot, side, pictures) for side in sides],
        "rewards": {scorer: _four(scores, sides) for scorer, scores in sorted(shot.rewards.items())},
        "judged": {
            name: [_rounded(scores.get(side)) for side in sides] for name, scores in sorted(shot.judged.items())
        },
        "answers": dict(sorted(shot.answers.items())),
    }


def _picture(shot: Shot, side: str, pictures: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    digest = shot.digests.get(side)
    if digest is None:
        return {"missing": shot.lost.get(side, "no picture was recorded")}
    return pictures.get(digest) or {"missing": "the picture is not in the store any more"}


def _four(scores: Mapping[tuple[str, str | None], float], sides: Sequence[str]) -> list[float | None]:
    found = [scores.get((sides[int(side)], text), scores.get((sides[int(side)], None))) for side, text in _CELLS]
    return [_rounded(value) for value in found]


def _orders(material: Material) -> tuple[list[Mapping[str, str]], list[Mapping[Place, float]]]:
    """What the gallery can be sorted by, and each item's place in it: the higher the sooner."""
    if material.evidence is None:
        return [], []
    labels: list[Mapping[str, str]] = []
    scores: list[Mapping[Place, float]] = []
    if everything := together(material):
        set_ = str(failed(material)[0]["set"])
        labels.append({"kind": "worst", "set": set_, "label": "everything that failed", "verdict": ""})
        scores.append(everything)
    for entry in material.entries:
        if entry["set"] not in SIDES or not (found := badness(entry, material.evidence)):
            continue
        about = f"{entry['metric']} by {entry['scorer']}" + (f", {entry['model']}" if len(material.audited) > 1 else "")
        labels.append({"kind": "worst", "set": entry["set"], "label": about, "verdict": entry["verdict"]})
        scores.append(found)
    for label, found in _disagreements(material):
        labels.append({"kind": "disagreement", "set": "pairs", "label": label, "verdict": ""})
        scores.append(found)
    return labels, scores


def _disagreements(material: Material) -> Iterator[tuple[str, Mapping[Place, float]]]:
    """Per reward and preference judge: how far the reward prefers the image that the judge does not, in its SD."""
    evidence = material.evidence
    assert evidence is not None
    models = [model for model in material.audited if evidence.items(model, "pairs")]
    scorers = sorted({scorer for model in models for scorer in evidence.scorers(model, "pairs")})
    judges = [scorer for scorer in scorers if scorer.startswith("preference/")]
    for reward in (each for each in scorers if not each.startswith(("preference/", "judge/", "truth/"))):
        for judge in judges:
            about = {"metric": "prefers_wide", "set": "pairs", "scorer": reward, "details": {"truth": judge}}
            found: dict[Place, float] = {}
            for model in models:
                entry = {**about, "model": model}
                spread = _spread(margins(entry, evidence))
                found |= {place: value / spread for place, value in badness(entry, evidence).items()}
            if found:
                yield f"{reward} against {judge}", found


def _spread(values: Mapping[Place, float]) -> float:
    root = math.sqrt(math.fsum(value * value for value in values.values()) / max(len(values), 1))
    return root or 1.0


def _number(cell: object) -> float | None:
    """A cell of an extra column, which nobody checked, as a number; None for anything else."""
    try:
        value = float(str(cell))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")
