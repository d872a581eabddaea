"""Every metric by its name in the results file, and the one way to ask for it."""

from __future__ import annotations

from collections.abc import Collection

from aes_audit.errors import MissingScores, UnknownName, UsageError
from aes_audit.evidence.schema import FACE
from aes_audit.evidence.table import Evidence
from aes_audit.measures.catalogue import METRICS
from aes_audit.measures.measurement import Measurement
from aes_audit.measures.metric import Metric
from aes_audit.measures.readings import JUDGE
from aes_audit.measures.request import Request

__all__ = ["METRICS", "Metric", "measure"]

MATCHER = "blip-itm"
IMAGES = "images"
NO_REWARD = ("judge/", "preference/", "truth/")


def measure(
    metric: str,
    evidence: Evidence,
    *,
    model: str | tuple[str, ...],
    base_model: str | None = None,
    scorer: str | None = None,
    truth: str | None = None,
    expected: Collection[str] | None = None,
    confidence: float = 0.95,
    interval: str = "exact",
    audit: str | None = None,
    group: str | None = None,
    reference: str | None = None,
) -> Measurement:
    """Measure one metric of one model (or of several pooled, for the metrics of a reward).

    `scorer` and `truth` may be left out where the table leaves no choice; `expected` are the planned items (default:
    those the table mentions); `group` is needed by the metrics of emotions; `reference` is the generator whose
    originals are the reference population of `art_z`. Thin data give a Measurement with a `reason`.
    Raises MissingScores if the table holds no such rows, UnknownName or UsageError for a call that makes no sense.
    """
    if metric not in METRICS:
        raise UnknownName("metric", metric, METRICS)
    entry = METRICS[metric]
    models = (model,) if isinstance(model, str) else tuple(dict.fromkeys(model))
    _check(entry, evidence, models, base_model, reference, group, confidence, interval)
    request = Request(
        metric=metric,
        set=entry.set,
        evidence=evidence,
        models=models,
        base_model=base_model if entry.paired else None,
        scorer=_sole(entry, entry.scorer_kind, scorer, evidence, models),
        truth=_sole(entry, "preference", truth, evidence, models) if entry.needs_truth else None,
        expected=None if expected is None else tuple(sorted(set(expected))),
        group=group,
        reference=reference,
        confidence=confidence,
        interval=interval,
        audit=metric if audit is None else audit,
    )
    return entry.function(request)


def _check(
    entry: Metric,
    evidence: Evidence,
    models: tuple[str, ...],
    base_model: str | None,
    reference: str | None,
    group: str | None,
    confidence: float,
    interval: str,
) -> None:
    """Refuse a call that no table could answer."""
    if not models:
        raise UsageError(f"{entry.name} needs a model.")
    for name in (*models, base_model if entry.paired else None, reference):
        if name is not None and name not in evidence.models:
            raise UnknownName("model", name, evidence.models)
    if group is None and None not in entry.groups:
        raise UsageError(f"{entry.name} is measured per group; name one of {', '.join(map(str, entry.groups))}.")
    # The dimensions of ratings and the styles of art are those that the table has.
    if group not in entry.groups and entry.set not in ("ratings", "art"):
        raise UnknownName("group", str(group), [name for name in entry.groups if name is not None])
    if not 0 < confidence < 1:
        raise UsageError(f"confidence {confidence} must lie between 0 and 1.")
    if interval not in ("exact", "wilson"):
        raise UsageError(f"interval {interval!r} must be 'exact' or 'wilson'.")


def _sole(entry: Metric, kind: str, named: str | None, evidence: Evidence, models: tuple[str, ...]) -> str:
    """The scorer that was named, else the only one of its kind. Raises UsageError if there is a choice."""
    if kind in (JUDGE, IMAGES):
        if named not in (None, kind):
            raise UsageError(f"{entry.name} reads the family {kind!r}, not {named!r}.")
        return kind
    if named is not None:
        return named
    there = sorted({name for model in models for name in evidence.scorers(model, entry.set)})
    found = [name for name in there if _is_kind(kind, entry, name)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise MissingScores(f"{entry.name}: no {kind} scored {' or '.join(models)} in set {entry.set!r}.")
    raise UsageError(f"{entry.name}: several scorers could be meant; name one of {', '.join(found)}.")


def _is_kind(kind: str, entry: Metric, scorer: str) -> bool:
    """Whether a scorer can be what a metric needs when none was named."""
    if kind == "preference":
        return scorer.startswith("preference/")
    if kind == "matcher":
        return scorer.endswith(FACE) if entry.set == "emotion" else scorer == MATCHER
    return not scorer.startswith(NO_REWARD) and not scorer.endswith(FACE)
