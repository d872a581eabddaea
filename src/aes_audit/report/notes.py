"""What comparisons with baselines noted and what became of the images, as lines under the verdict table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from aes_audit.report.results import Entry

__all__ = ["baseline_notes", "image_notes"]


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


def _kinds(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())
