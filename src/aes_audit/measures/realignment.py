"""The aligned model against its base, item by item."""

from __future__ import annotations

from typing import Any

import numpy as np

from aes_audit.measures.measurement import Measurement
from aes_audit.measures.readings import JUDGE, Cell, losses, read, read_judge
from aes_audit.measures.request import Request
from aes_audit.statistics.bootstrap import Floats, Interval
from aes_audit.statistics.intervals import bonett_price, mean_interval
from aes_audit.statistics.paired import SignedRank, bca_effect, discordant, mcnemar, mcnemar_two_sided, wilcoxon

__all__ = ["realignment_quality", "realignment_success", "wide_scores"]


def realignment_quality(request: Request) -> Measurement:
    """effect_r of the paired signed-rank test of r(I_a, p_o), aligned against base; down (negative) is worse.

    Test and estimate are the paper's variant, p one-sided "aligned higher"; the interval is the bootstrap of effect_r
    over items. `details` hold the mean paired difference, aligned - base, in the scorer's unit with its own interval,
    the two-sided p, and the variant that keeps zeros. Scorer `judge` reads the sum of J(I_a, d) over all dimensions.
    Source: Table 1; PROTOCOL section 6, R22 to R24.
    """
    aligned_model, base_model = request.pair_of_models()
    planned = request.planned(aligned_model, base_model)
    aligned, base = (wide_scores(request, model, planned) for model in (aligned_model, base_model))
    difference = aligned - base
    known = ~np.isnan(difference)
    n, missing = int(known.sum()), int((~known).sum())
    details = losses("base", "aligned", np.isnan(base), np.isnan(aligned))
    if n == 0:
        return request.unmeasured(0, missing, f"0 of {len(planned)} items have both scores", details)
    difference = difference[known]
    test = wilcoxon(difference)
    interval = bca_effect(difference, seed=request.seed, confidence=request.confidence)
    details |= {"mean_base": float(base[known].mean()), "mean_aligned": float(aligned[known].mean())}
    details |= _mean_difference(request, difference)
    details |= {"z": test.z, "zeros": test.zeros, "p_two_sided": test.p_two_sided, "pratt": _pratt(difference)}
    return request.measured(n, missing, test.effect_r, interval, details, **_test(test))


def realignment_success(request: Request) -> Measurement:
    """Difference of success rates, aligned - base, over complete pairs; down is worse.

    p is exact McNemar, one-sided "the aligned model succeeds less"; `statistic` counts the regressed pairs.
    Interval: Bonett-Price. Source: Table 1, column McNemar; PROTOCOL section 6, R22.
    """
    aligned_model, base_model = request.pair_of_models()
    planned = request.planned(aligned_model, base_model)
    cells = [Cell(model, "pair", "wide", request.scorer) for model in (aligned_model, base_model)]
    aligned, base = read(request, cells, planned).T
    known = ~np.isnan(aligned) & ~np.isnan(base)
    n, missing = int(known.sum()), int((~known).sum())
    details = losses("base", "aligned", np.isnan(base), np.isnan(aligned))
    if n == 0:
        return request.unmeasured(0, missing, f"0 of {len(planned)} items have both preferences", details)
    pairs = discordant(base[known] == 1, aligned[known] == 1)
    details |= {
        **pairs._asdict(),
        "successes_base": int((base[known] == 1).sum()),
        "successes_aligned": int((aligned[known] == 1).sum()),
        "p_two_sided": mcnemar_two_sided(pairs),
    }
    interval = Interval(bonett_price(*pairs, n, request.confidence), "bonett_price")
    estimate = (pairs.improved - pairs.regressed) / n
    test = {"statistic": float(pairs.regressed), "p_value": mcnemar(pairs)}
    return request.measured(n, missing, estimate, interval, details, **test)


def wide_scores(request: Request, model: str, planned: tuple[str, ...]) -> Floats:
    """r(I_a, p_o) per item; for the judge family the sum over all dimensions of J(I_a, d)."""
    if request.scorer != JUDGE:
        return read(request, [Cell(model, "wide", "original", request.scorer)], planned)[:, 0]
    judged = read_judge(request, model, ["wide"], planned)[:, 0]
    if len(planned) and np.isnan(judged).all(axis=0).any():
        raise request.skip(f"{model!r} has dimensions that were never judged; all are needed")
    sums: Floats = judged.sum(axis=1)
    return sums


def _mean_difference(request: Request, difference: Floats) -> dict[str, Any]:
    interval = mean_interval(difference, seed=request.seed, confidence=request.confidence)
    return {
        "mean_difference": float(difference.mean()),
        "mean_difference_interval": list(interval.bounds) if interval.bounds else None,
        "mean_difference_method": interval.method,
        "mean_difference_reason": interval.reason,
    }


def _pratt(difference: Floats) -> dict[str, Any]:
    test = wilcoxon(difference, "pratt")
    return {**_test(test), "z": test.z, "p_two_sided": test.p_two_sided, "method": test.method}


def _test(test: SignedRank) -> dict[str, float]:
    return {
        "statistic": test.plus,
        "p_value": test.p_greater,
        "effect_r": test.effect_r,
        "rank_biserial": test.rank_biserial,
    }
