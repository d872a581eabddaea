"""The store: what was put is found whole, what is damaged is made again, what cannot be written is said."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from evidence.stored_places import Bucket, Folder, Place, only
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from object_servers import BUCKET, S3Service, fresh

from aes_audit.evidence.keys import canonical, digest
from aes_audit.evidence.records import encoded
from aes_audit.evidence.store import ChangedImageWarning, CorruptObject, ImageRecord, Store

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20
KEY, OTHER = digest({"key": 1}), digest({"key": 2})

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
LEAF = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUE = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=5
)

# The service is the same for all examples, and each has a prefix of its own in it.
FEW = settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a store lies, in each kind of storage."""
    if request.param == "folder":
        return Folder(tmp_path / "store")
    return Bucket(request.getfixturevalue("s3"), request.getfixturevalue("s3_service").client)


once = pytest.mark.parametrize("place", ["folder"], indirect=True)
"""For what the store does by itself, before or after its objects are anywhere."""


@pytest.fixture
def store(place: Place) -> Store:
    return Store(place.address)


def test_an_image_comes_back_with_its_record(store: Store, place: Place) -> None:
    assert store.image(KEY) is None
    store.put_image(KEY, PNG, {"prompt": "a cat", "steps": 32, "size": (64, 64)})
    found = store.image(KEY)
    sha256 = hashlib.sha256(PNG).hexdigest()
    record = {"prompt": "a cat", "steps": 32, "size": [64, 64], "sha256": sha256, "bytes": len(PNG)}
    assert found == ImageRecord(KEY, sha256, None, record)
    assert store.read_image(found) == PNG
    assert set(place.contents()) == {f"blobs/{sha256[:2]}/{sha256}.png", f"images/{KEY[:2]}/{KEY}.json"}
    assert place.contents()[f"blobs/{sha256[:2]}/{sha256}.png"] == PNG


def test_a_missing_image_keeps_its_reason_and_has_no_file(store: Store, place: Place) -> None:
    store.put_missing_image(KEY, "refused by the provider", {"prompt": "a cat", "sha256": "ab", "error": "older"})
    found = store.image(KEY)
    assert found is not None
    assert (found.sha256, found.error, found.record["prompt"]) == (None, "refused by the provider", "a cat")
    assert [name.split("/")[0] for name in place.contents()] == ["images"]
    with pytest.raises(ValueError, match="refused by the provider"):
        store.read_image(found)


@contextmanager
def _new_folder() -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as folder:
        yield Folder(Path(folder))


def _new_prefix(service: S3Service) -> Place:
    return Bucket(f"s3://{BUCKET}/{fresh()}", service.client)


def _assert_scores_come_back(place: Place, record: dict[str, Any], name: str) -> None:
    store, key = Store(place.address), digest({"name": name})
    store.put_scores(key, record)
    assert canonical(store.scores(key)) == canonical(record)
    assert Store(place.address).scores(key) == record
    assert store.scores(digest({"other": name})) is None


RECORD = st.dictionaries(TEXT, VALUE, max_size=4)


@settings(max_examples=30, deadline=None)
@given(record=RECORD, name=TEXT)
def test_scores_come_back_as_they_were_put(record: dict[str, Any], name: str) -> None:
    with _new_folder() as place:
        _assert_scores_come_back(place, record, name)


@FEW
@given(record=RECORD, name=TEXT)
def test_scores_come_back_from_a_bucket_as_they_were_put(
    s3: str, s3_service: S3Service, record: dict[str, Any], name: str
) -> None:
    _assert_scores_come_back(_new_prefix(s3_service), record, name)


def test_what_is_put_again_replaces_what_was_there(store: Store) -> None:
    store.put_missing_image(KEY, "black", {})
    store.put_image(KEY, PNG, {"try": 2})
    found = store.image(KEY)
    assert found is not None
    assert found.error is None
    store.put_scores(KEY, {"values": [1.0]})
    store.put_scores(KEY, {"values": [2.0]})
    assert store.scores(KEY) == {"values": [2.0]}


@once
def test_two_keys_may_share_an_image_file(store: Store, place: Place) -> None:
    store.put_image(KEY, PNG, {"seed": 1})
    store.put_image(OTHER, PNG, {"seed": 2})
    assert only(place, "blobs").endswith(".png")
    assert [store.image(key).record["seed"] for key in (KEY, OTHER)] == [1, 2]  # type: ignore[union-attr]


def test_a_flipped_byte_of_an_image_is_found_and_the_image_can_be_made_again(store: Store, place: Place) -> None:
    for position in (0, 100, len(PNG) - 1):
        store.put_image(KEY, PNG, {})
        blob = only(place, "blobs")
        damaged = bytearray(PNG)
        damaged[position] ^= 1
        place.put(blob, bytes(damaged))
        found = store.image(KEY)
        assert found is not None
        with pytest.warns(ChangedImageWarning), pytest.raises(CorruptObject, match=KEY):
            store.read_image(found)
        assert store.image(KEY) is None
        assert blob not in place.contents()
    assert store.changed == 3
    assert Store(place.address).changed == 0
    store.put_image(KEY, PNG, {})
    assert store.read_image(store.image(KEY)) == PNG  # type: ignore[arg-type]


def test_a_shortened_or_removed_image_file_counts_as_never_made(store: Store, place: Place) -> None:
    store.put_image(KEY, PNG, {})
    found = store.image(KEY)
    assert found is not None
    blob = only(place, "blobs")
    place.put(blob, PNG[:100])
    assert store.image(KEY) is None
    place.drop(blob)
    assert store.image(KEY) is None
    with pytest.warns(ChangedImageWarning), pytest.raises(CorruptObject):
        store.read_image(found)


@once
def test_putting_an_image_mends_a_damaged_file_of_the_same_content(store: Store, place: Place) -> None:
    store.put_image(KEY, PNG, {})
    place.put(only(place, "blobs"), b"x" * len(PNG))
    store.put_image(OTHER, PNG, {})
    assert store.read_image(store.image(KEY)) == PNG  # type: ignore[arg-type]


def _assert_damage_is_absence(place: Place, position: float, byte: int, cut: bool) -> None:
    store = Store(place.address)
    store.put_scores(KEY, {"values": [0.812, -3.25], "queries": ["clarity", "a cat"]})
    name = only(place, "scores")
    content = bytearray(place.contents()[name].rstrip())
    where = int(position * len(content))
    content[where] ^= byte
    place.put(name, bytes(content[:where] if cut else content))
    assert store.scores(KEY) is None
    store.put_scores(KEY, {"values": [1.0]})
    assert store.scores(KEY) == {"values": [1.0]}


DAMAGE = {"position": st.floats(0, 1, exclude_max=True), "byte": st.integers(1, 255), "cut": st.booleans()}


@settings(max_examples=100, deadline=None)
@given(**DAMAGE)
def test_a_record_with_any_byte_changed_or_cut_off_counts_as_absent(position: float, byte: int, cut: bool) -> None:
    with _new_folder() as place:
        _assert_damage_is_absence(place, position, byte, cut)


@FEW
@given(**DAMAGE)
def test_a_record_in_a_bucket_with_any_byte_changed_or_cut_off_counts_as_absent(
    s3: str, s3_service: S3Service, position: float, byte: int, cut: bool
) -> None:
    _assert_damage_is_absence(_new_prefix(s3_service), position, byte, cut)


NO_RECORDS = (b"", b"null", b"[]", b"{}", b"\xff", b'{"key": 1', b"[" * 100_000, b"NaN")


@once
def test_a_file_that_is_no_record_counts_as_absent(store: Store, place: Place) -> None:
    for content in NO_RECORDS:
        store.put_image(KEY, PNG, {})
        place.put(only(place, "images"), content)
        assert store.image(KEY) is None


@once
@pytest.mark.parametrize("digest_", [5, ["x"], "../../etc/passwd"])
def test_a_record_that_names_no_digest_counts_as_absent(store: Store, place: Place, digest_: object) -> None:
    place.put(f"images/{KEY[:2]}/{KEY}.json", encoded(KEY, {"sha256": digest_, "bytes": 1}))  # type: ignore[dict-item]
    assert store.image(KEY) is None


@once
def test_a_record_under_another_key_counts_as_absent(store: Store, place: Place) -> None:
    store.put_scores(KEY, {"values": [1.0]})
    place.put(f"scores/{OTHER[:2]}/{OTHER}.json", place.contents()[only(place, "scores")])
    assert store.scores(OTHER) is None


@pytest.mark.parametrize("key", ["", "ab", "../../etc/passwd", "A" * 64, "g" * 64, "a" * 63 + "/", "a" * 65])
def test_only_digests_are_keys(tmp_path: Path, key: str) -> None:
    store = Store(tmp_path)
    for call in (store.image, store.scores):
        with pytest.raises(ValueError, match="not a key"):
            call(key)


@once
def test_a_record_that_json_cannot_hold_is_refused_and_leaves_nothing(store: Store, place: Place) -> None:
    for value in (float("nan"), b"x", {1, 2}):
        with pytest.raises(TypeError, match="JSON cannot hold"):
            store.put_scores(KEY, {"values": [value]})  # type: ignore[list-item]
    assert store.scores(KEY) is None
    assert not place.contents()


@once
def test_opening_a_store_again_finds_everything(store: Store) -> None:
    store.put_image(KEY, PNG, {})
    again = Store(store.address)
    assert again.image(KEY) == store.image(KEY)


@once
def test_records_are_canonical_json_with_their_own_check(store: Store, place: Place) -> None:
    store.put_scores(KEY, {"values": [1.0]})
    content = json.loads(place.contents()[only(place, "scores")])
    assert content == {
        "key": KEY,
        "record": {"values": [1.0]},
        "check": digest({"key": KEY, "record": {"values": [1.0]}}),
    }


def test_what_is_asked_in_many_comes_in_order(store: Store) -> None:
    # More than are under way at once.
    keys = [digest({"number": number}) for number in range(40)]
    store.put_all_scores({key: {"values": [number]} for number, key in enumerate(keys) if number % 7})
    found = [record and record["values"] for record in store.all_scores(keys)]
    assert found == [[number] if number % 7 else None for number in range(40)]
    for number, key in enumerate(keys[30:36]):
        store.put_image(key, PNG + bytes([number]), {"number": number})
    records = [record for record in store.images(keys) if record is not None]
    assert [record.record["number"] for record in records] == list(range(6))
    assert list(store.read_images(records)) == [PNG + bytes([number]) for number in range(6)]


def test_what_is_asked_in_many_is_fetched_a_few_ahead_of_its_reader(store: Store) -> None:
    keys = [digest({"number": number}) for number in range(100)]
    asked: list[str] = []

    def watched() -> Iterator[str]:
        for key in keys:
            asked.append(key)
            yield key

    found = store.all_scores(watched())
    assert next(iter(found)) is None
    assert len(asked) <= 32
