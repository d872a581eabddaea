"""The strip of artworks: how far each work stands from a generator's originals, in SD of those, style by style."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from aes_audit.errors import AesAuditError
from aes_audit.evidence.schema import STYLE
from aes_audit.evidence.table import Evidence
from aes_audit.measures.item_values import item_values
from aes_audit.report.html.plots.canvas import VERDICT_COLOURS, Plot, canvas, ink, plain, plot, quiet
from aes_audit.report.results import Entry

__all__ = ["strip"]

_STYLES = 12
"""Styles that get a line of their own, the largest first; the others share one."""

Floats = npt.NDArray[np.float64]


def strip(entry: Entry, evidence: Evidence, name: str) -> Plot | None:
    """One dot per work, one line per style; None where no work has a z-score."""
    reference = (entry["details"].get("reference") or {}).get("model")
    try:
        works = item_values("art_z", evidence, models=(entry["model"],), scorer=entry["scorer"], reference=reference)
    except AesAuditError:
        return None
    z = {
        item: value
        for item, value in zip(works.items, works.values if works.values is not None else (), strict=False)
        if value == value
    }
    lines = _by_style(z, _styles(evidence, entry["model"]))
    if not z:
        return None
    with canvas(8.4, 1.1 + 0.42 * len(lines)) as figure:
        axes = figure.subplots()
        for row, values in enumerate(lines.values()):
            # A fixed jitter: two reports of one run are the same file.
            jitter = np.random.default_rng(0).uniform(-0.26, 0.26, len(values))
            axes.plot(values, row + jitter, ".", color=ink("second"), alpha=0.55, markersize=7, markeredgewidth=0)
            axes.plot([values.mean()], [row], "|", color=ink("ink"), markersize=16, markeredgewidth=2)
        axes.axvline(0, color=ink("soft"), linewidth=1)
        limit = (entry["threshold"] or {}).get("at_least")
        if limit is not None:
            axes.axvline(limit, color=ink(VERDICT_COLOURS[entry["verdict"]]), linewidth=1.4, linestyle=(0, (4, 2)))
        axes.set_yticks(range(len(lines)), [plain(style, 40) for style in lines], color=ink("ink"))
        axes.set_ylim(len(lines) - 0.4, -0.6)
        axes.set_xlabel(f"SD from the mean of {plain(str(reference))}'s originals (dashed: what was asked of the mean)")
        quiet(axes)
        rows = [_row(style, values) for style, values in lines.items()]
        description = (
            f"Each dot is an artwork as {entry['scorer']} scores it under its factual caption, in standard deviations "
            f"from the originals of {reference}; the short bars are means. Left of zero is below generated pictures."
        )
        columns = ("style", "works", "mean z", "SD", "share below -2")
        return plot(figure, name, f"Where art stands for {plain(entry['scorer'])}", description, columns, rows)


def _styles(evidence: Evidence, model: str) -> Mapping[str, str]:
    frame = evidence.frame
    if STYLE not in frame:
        return {}
    rows = frame[(frame["model"] == model) & (frame["set"] == "art") & frame[STYLE].notna()]
    return dict(zip(rows["item"].astype(str), rows[STYLE].astype(str), strict=True))


def _by_style(z: Mapping[str, float], styles: Mapping[str, str]) -> dict[str, Floats]:
    found: dict[str, list[float]] = {}
    for item, value in z.items():
        if item in styles:
            found.setdefault(styles[item], []).append(value)
    largest = sorted(found, key=lambda style: (-len(found[style]), style))[:_STYLES]
    lines = {"all works": np.array(list(z.values()))}
    return lines | {style: np.array(found[style]) for style in sorted(largest)}


def _row(style: str, values: Floats) -> list[str]:
    spread = f"{values.std(ddof=1):.2f}" if len(values) > 1 else "-"
    return [style, str(len(values)), f"{values.mean():+.2f}", spread, f"{(values < -2).mean():.1%}"]
