"""What the evidence says about an image besides its scores."""

from __future__ import annotations

from typing import Any

import pytest

from aes_audit.evidence.generating import ImageJob
from aes_audit.evidence.images import image_columns, repeats_earlier, told_apart
from aes_audit.evidence.store import ImageRecord
from aes_audit.generators.protocol import ImageRequest


def job(item: str, image: str, text: str | None = None) -> ImageJob:
    """One image of a plan; its text is its own unless given."""
    return ImageJob(item, image, ImageRequest(text or f"{image} of {item}", 1))


def record(sha256: str | None, error: str | None = None, **kept: Any) -> ImageRecord:
    """What the store knows."""
    return ImageRecord("key", sha256, error, kept)


class TestToldApart:
    """The same pixels cannot be the answer to two texts."""

    def test_pictures_of_their_own_stay_as_they_are(self) -> None:
        jobs = [job("1", "original"), job("1", "wide"), job("2", "original")]
        records = [record("a"), record("b", flags=["near_blank"]), record(None, "refused", kind="refused")]
        assert told_apart(jobs, records) == records

    def test_one_picture_for_two_items_is_missing_for_both(self) -> None:
        jobs = [job("1", "original"), job("1", "wide"), job("2", "original"), job("2", "wide")]
        found = told_apart(jobs, [record("a"), record("same"), record("same"), record("b")])
        assert [one.sha256 for one in found] == ["a", None, None, "b"]
        assert [one.fault for one in found] == [None, "duplicate", "duplicate", None]
        assert found[1].error == "the same picture was given for another text: image original of item 2"
        assert found[2].error == "the same picture was given for another text: image wide of item 1"

    def test_the_two_images_of_one_item_may_be_equal_and_are_flagged(self) -> None:
        jobs = [job("1", "original"), job("1", "wide")]
        found = told_apart(jobs, [record("same"), record("same", flags=["near_blank"])])
        assert [one.sha256 for one in found] == ["same", "same"]
        assert [one.flags for one in found] == [("identical_pair",), ("near_blank", "identical_pair")]

    def test_equal_pairs_of_two_items_are_missing_all_four(self) -> None:
        jobs = [job(item, image) for item in "12" for image in ("original", "wide")]
        assert {one.fault for one in told_apart(jobs, [record("same")] * 4)} == {"duplicate"}

    def test_one_text_of_two_items_may_have_one_picture(self) -> None:
        jobs = [job("1", "original", "a cat"), job("2", "original", "a cat")]
        assert [one.fault for one in told_apart(jobs, [record("same")] * 2)] == [None, None]

    def test_missing_images_are_not_each_others_duplicates(self) -> None:
        jobs = [job("1", "original"), job("2", "original")]
        records = [record(None, "black", kind="black")] * 2
        assert told_apart(jobs, records) == records


def test_a_picture_that_comes_again_in_a_later_round_is_noticed_once_it_does() -> None:
    seen: dict[str, str] = {}
    first = [{"item": "1", "image_sha256": "a"}, {"item": "1", "image_sha256": "a"}, {"item": "2"}]
    assert not repeats_earlier(first, seen)
    assert not repeats_earlier([{"item": "3", "image_sha256": "b"}, {"item": "4", "image_sha256": None}], seen)
    assert repeats_earlier([{"item": "5", "image_sha256": "b"}], seen)


class TestColumns:
    """The extra columns of every row about an image."""

    def test_an_image_that_is_there(self) -> None:
        expected = {"image_sha256": "a", "image_fault": None, "image_flags": None}
        assert image_columns(record("a")) == expected
        assert image_columns(record("a", flags=["near_blank", "identical_pair"])) == {
            **expected,
            "image_flags": "near_blank,identical_pair",
        }

    def test_a_missing_one_also_of_an_older_store_that_kept_no_kind(self) -> None:
        assert image_columns(record(None, "dark", kind="black"))["image_fault"] == "black"
        assert image_columns(record(None, "dark"))["image_fault"] == "failed"

    @pytest.mark.parametrize(
        ("note", "told", "cut"),
        [
            ({"tokens": 60, "limit": 77}, "clip 60/77", False),
            ({"tokens": 91, "limit": 77, "truncated": True}, "clip 91/77 cut", True),
            ({"tokens": 91, "limit": 77, "chunked": True}, "clip 91/77 chunked", False),
            ({"tokens": 91, "limit": None}, "clip 91", False),
        ],
    )
    def test_how_the_text_was_read(self, note: dict[str, Any], told: str, cut: bool) -> None:
        columns = image_columns(record("a", prompt_notes={"encoders": {"clip": note}}))
        assert (columns["prompt_tokens"], columns["prompt_truncated"]) == (told, cut)

    def test_a_text_that_one_of_several_encoders_read_whole_is_whole(self) -> None:
        encoders = {"t5": {"tokens": 95, "limit": 256}, "clip": {"tokens": 91, "limit": 77, "truncated": True}}
        whole = image_columns(record("a", prompt_notes={"encoders": encoders, "complete": True}))
        assert (whole["prompt_tokens"], whole["prompt_truncated"]) == ("clip 91/77 cut, t5 95/256", False)
        assert image_columns(record("a", prompt_notes={"encoders": encoders}))["prompt_truncated"] is True
