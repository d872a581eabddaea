"""The lines under the verdict table about images that are missing, flagged, or drawn from a cut text."""

from __future__ import annotations

from typing import Any

from aes_audit.report.notes import image_notes


def entry(model: str, metric: str = "image_faults", **details: Any) -> dict[str, Any]:
    """What the results file holds of a measurement, as far as it matters here."""
    whole = {"images": 300, "faults": {}, "flagged": {}, "truncated": {"original": 0, "wide": 0}}
    return {"model": model, "metric": metric, "details": {**whole, **details}}


def test_where_all_is_well_nothing_is_said() -> None:
    assert list(image_notes([entry("a"), entry("b", "success_rate", faults={"black": 1})])) == []


def test_missing_images_are_told_by_kind_and_apart_from_those_that_stay_data() -> None:
    told = entry(
        "a", faults={"black": 2, "refused": 1}, flagged={"near_blank": 5}, truncated={"original": 0, "wide": 12}
    )
    assert list(image_notes([entry("b"), told])) == [
        "images of a: 3 of 300 missing (2 black, 1 refused); 5 near_blank counted as data; "
        "not read whole: 12 wide texts"
    ]


def test_a_measurement_that_failed_has_nothing_to_tell() -> None:
    assert list(image_notes([{"model": "a", "metric": "image_faults", "details": {}}])) == []
