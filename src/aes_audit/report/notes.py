"""What the comparisons with baselines noted, as lines under the verdict table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from aes_audit.report.results import Entry

__all__ = ["baseline_notes"]


def baseline_notes(entries: Sequence[Entry]) -> Iterator[str]:
    """One line per note; a note that many measurements share is one line with their number."""
    noted: dict[str, list[str]] = {}
    for entry in entries:
        about = f"{entry['subject']}: {entry['metric']} by {entry['scorer']}"
        for note in (entry["baseline"] or {}).get("notes", ()):
            noted.setdefault(note, []).append(about)
    for note, noted_by in noted.items():
        yield f"baseline of {noted_by[0] if len(noted_by) == 1 else f'{len(noted_by)} measurements'}: {note}"
