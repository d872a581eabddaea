"""Lines under the table: what baselines noted, what became of images, where art stands, what faces and judges show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aes_audit.report.results import Entry

__all__ = ["art_notes", "baseline_notes", "face_notes", "image_notes", "position_notes"]


def baseline_notes(entries: Sequence[Entry]) -> Iterator[str]:
    """One line per note; a note that many measurements share is one line with their number."""
    noted: dict[str, list[str]] = {}
    for entry in entries:
        about = f"{entry['subject']}: {entry['metric']} by {entry['scorer']}"
        for note in (entry["baseline"] or {}).get("notes", ()):
            noted.setdefault(note, []).append(about)
    for note, noted_by in noted.items():
        yield f"baseline of {noted_by[0] if len(noted_by) == 1 else f'{len(noted_by)} measurements'}: {note}"


def image_notes(entries: Sequence[Entry]) -> Iterator[str]:
    """One line per generator with images that are missing or flagged, or whose texts were cut."""
    for entry in entries:
        if entry["metric"] != "image_faults":
            continue
        details = entry["details"]
        lost, flagged = details.get("faults", {}), details.get("flagged", {})
        parts = [f"{sum(lost.values())} of {details['images']} missing ({_kinds(lost)})"] if lost else []
        parts += [f"{_kinds(flagged)} counted as data"] if flagged else []
        cut = {f"{image} texts": count for image, count in details.get("truncated", {}).items() if count}
        parts += [f"not read whole: {_kinds(cut)}"] if cut else []
        if parts:
            yield f"images of {entry['model']}: {'; '.join(parts)}"


def art_notes(entries: Sequence[Entry]) -> Iterator[str]:
    """One line per reward that was shown art: the population, works far below it, the control arm, the captions."""
    for entry in entries:
        details = entry["details"]
        reference = details.get("reference")
        if entry["metric"] != "art_z" or entry["group"] or not reference or "mean" not in reference:
            continue
        parts = [
            f"against {reference['n']} originals of {reference['model']} "
            f"(mean {reference['mean']:.4g}, SD {reference['sd']:.4g})"
        ]
        far = details.get("far_below") or {"n": 0}
        parts += [f"{far['share']:.0%} of works below {far['z']:g} SD"] if far["n"] else []
        control = details.get("control_arm")
        parts += [f"control arm {control['mean_z']:+.2f} SD over {control['n']} pictures"] if control else []
        parts += [
            f"by {scorer} the own caption wins in {said['matched_wins']:.0%}"
            if said["reads_captions"]
            else f"{scorer} does not read captions"
            for scorer, said in sorted(details.get("captions", {}).items())
        ]
        yield f"{entry['scorer']} on {entry['model']} art: {'; '.join(parts)}"


def face_notes(entries: Sequence[Entry]) -> Iterator[str]:
    """One line per generator that drew faces: of each emotion asked for, how many show it, and what the others show."""
    for entry in entries:
        confusion = entry["details"].get("confusion")
        if entry["metric"] != "positivity_shift" or not confusion:
            continue
        rows = []
        for asked, shown in confusion.items():
            others = {emotion: count for emotion, count in shown.items() if count and emotion != asked}
            mistaken = f" ({_kinds(others)})" if others else ""
            rows.append(f"{asked} {shown[asked]} of {sum(shown.values())}{mistaken}")
        ties = entry["details"]["ties"]
        unclear = f"; {ties} unclear" if ties else ""
        yield f"faces of {entry['model']}, asked and shown by {entry['scorer']}: {', '.join(rows)}{unclear}"


def position_notes(entries: Sequence[Entry]) -> Iterator[str]:
    """One line per generator and judge that was shown the images: how far their order decided."""
    for entry in entries:
        position = entry["details"].get("position")
        if entry["metric"] != "success_rate" or not position:
            continue
        both, parts = position["both_orders"], []
        if both:
            followed = round(position["followed_position"] * both)
            parts += [f"the orders disagreed on {position['disagreements']} of {both} pairs ({followed} by position)"]
        if position["first_share"] is not None:
            parts += [f"the first image was chosen in {position['first_share']:.1%}{_percent(position)} of answers"]
        if parts:
            yield f"{entry['scorer']} on {entry['model']}: {'; '.join(parts)}"


def _percent(position: Mapping[str, Any]) -> str:
    bounds = position["first_share_interval"]
    return f" [{bounds[0]:.1%}, {bounds[1]:.1%}]" if bounds else ""


def _kinds(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())
