"""What is asked of a metric, and how its answer becomes a Measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aes_audit.errors import MissingScores, UsageError
from aes_audit.evidence.table import Evidence
from aes_audit.measures.measurement import Measurement
from aes_audit.statistics.bootstrap import RESAMPLES, Interval
from aes_audit.statistics.seeds import derive_seed

__all__ = ["Request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One question to one table of evidence."""

    metric: str
    """Name in the registry."""
    set: str
    """Evidence set the metric reads."""
    evidence: Evidence
    """The table."""
    models: tuple[str, ...]
    """The generators; several only for the pooled metrics of a reward."""
    base_model: str | None = None
    """The model compared against, for paired metrics."""
    scorer: str
    """The scorer to read; `judge` for the whole family `judge/<dimension>`."""
    truth: str | None = None
    """The `preference/<judge>` that says which image is better, for metrics that need one."""
    expected: tuple[str, ...] | None = None
    """The planned items, sorted; None means those the table mentions."""
    group: str | None = None
    """The sub-group asked for."""
    reference: str | None = None
    """The generator whose originals are the reference population of `art_z`."""
    confidence: float = 0.95
    """Two-sided level of the interval."""
    interval: str = "exact"
    """Interval of a proportion: `exact` or `wilson`."""
    audit: str
    """Name of the audit that asks."""

    @property
    def model(self) -> str:
        """The generators joined by `+`, as in the results."""
        return "+".join(self.models)

    @property
    def seed(self) -> int:
        """Seed of every bootstrap of this measurement."""
        return derive_seed(self.audit, self.metric, self.model, self.scorer, self.group)

    def sole_model(self) -> str:
        """The one generator. Raises UsageError if several were pooled."""
        if len(self.models) != 1:
            raise UsageError(f"{self.metric} is measured for one model at a time, not for {', '.join(self.models)}.")
        return self.models[0]

    def pair_of_models(self) -> tuple[str, str]:
        """Aligned and base model. Raises UsageError without a base model."""
        if self.base_model is None:
            raise UsageError(f"{self.metric} compares two models: name the other one as base model.")
        return self.sole_model(), self.base_model

    def planned(self, *models: str) -> tuple[str, ...]:
        """The expected items, else all that the table mentions for these generators; sorted."""
        if self.expected is not None:
            return self.expected
        return tuple(sorted({item for model in models for item in self.evidence.items(model, self.set)}))

    def skip(self, lack: str) -> MissingScores:
        """The error that says that this table cannot answer: nothing was lost, nothing was asked."""
        return MissingScores(f"{self.metric} of {self.model!r} by {self.scorer!r} in set {self.set!r}: {lack}.")

    def unmeasured(self, n: int, missing: int, reason: str, details: Mapping[str, Any] | None = None) -> Measurement:
        """A measurement without estimate: `reason` says why, in words."""
        return self._measurement(n=n, missing=missing, estimate=None, details=dict(details or {}), reason=reason)

    def measured(
        self,
        n: int,
        missing: int,
        estimate: float,
        interval: Interval,
        details: Mapping[str, Any],
        **test: float | None,
    ) -> Measurement:
        """A measurement with its interval; `test` holds statistic, p_value, effect_r and rank_biserial."""
        return self._measurement(
            n=n,
            missing=missing,
            estimate=estimate,
            interval=interval.bounds,
            details={**details, **_how(interval)},
            reason=None if interval.bounds else interval.reason,
            **test,
        )

    def _measurement(self, **fields: Any) -> Measurement:
        return Measurement(
            audit=self.audit,
            metric=self.metric,
            model=self.model,
            base_model=self.base_model,
            set=self.set,
            scorer=self.scorer,
            group=self.group,
            confidence=self.confidence,
            **fields,
        )


def _how(interval: Interval) -> dict[str, Any]:
    """How the interval was made, for whoever wants to make it again."""
    how: dict[str, Any] = {"interval_method": interval.method}
    if interval.bounds and interval.reason:
        how["interval_note"] = interval.reason
    if interval.seed is not None:
        how |= {"seed": interval.seed, "resamples": RESAMPLES, "undefined_resamples": interval.undefined}
    return how
