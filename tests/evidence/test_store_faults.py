"""Object storage on bad days: what is asked again, what is said, and that nothing half is ever visible."""

from __future__ import annotations

import json
import os
import socket
import urllib.request
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from evidence.process_tree import wait_for
from evidence.stored_places import Bucket
from evidence.troubled_service import Trouble, troubled
from object_servers import S3Service, fresh

from aes_audit.errors import StoreUnusable
from aes_audit.evidence.keys import digest
from aes_audit.evidence.storage.objects import ObjectStorage
from aes_audit.evidence.store import Store

KEY, OTHER = digest({"key": 1}), digest({"key": 2})
BEFORE, AFTER = b"before" * 10_000, b"afterwards" * 10_000


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long the libraries wait until they ask again is theirs; that they do, and how often, is what is tested."""

    async def at_once(_: float) -> None:
        return

    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)
    monkeypatch.setattr("gcsfs.retry.asyncio", SimpleNamespace(sleep=at_once))


@pytest.fixture
def trouble(s3: str, s3_service: S3Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trouble]:
    """A proxy that the store talks to."""
    with troubled(s3_service.url) as trouble:
        monkeypatch.setenv("AWS_ENDPOINT_URL", trouble.url)
        yield trouble


@pytest.fixture
def gs_trouble(gs: str, gs_service: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trouble]:
    """The same for Google's protocol."""
    with troubled(gs_service) as trouble:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", trouble.url)
        yield trouble


@pytest.fixture
def bucket(s3: str, s3_service: S3Service) -> Bucket:
    return Bucket(s3, s3_service.client)


@pytest.mark.parametrize("how", ["busy", "cut", "torn", "hang"])
def test_what_a_troubled_service_did_not_take_is_sent_again(s3: str, trouble: Trouble, how: str) -> None:
    _assert_sent_again(s3, trouble, how, "PUT")


@pytest.mark.parametrize("how", ["busy", "cut", "torn", "hang"])
def test_what_google_did_not_take_is_sent_again(gs: str, gs_trouble: Trouble, how: str) -> None:
    _assert_sent_again(gs, gs_trouble, how, "POST")


def _assert_sent_again(address: str, trouble: Trouble, how: str, writing: str) -> None:
    storage = ObjectStorage(address, patience=0.3)
    for method in (writing, "GET"):
        trouble.method, trouble.how, trouble.times, trouble.happened = method, how, 1, 0
        storage.write("scores/ab", AFTER)
        assert storage.read("scores/ab") == AFTER
        assert trouble.happened == 1


def test_a_put_that_breaks_off_half_way_leaves_what_was_there(s3: str, trouble: Trouble, bucket: Bucket) -> None:
    storage = ObjectStorage(s3)
    storage.write("scores/ab", BEFORE)
    trouble.method, trouble.how, trouble.times = "PUT", "cut", 100
    for name in ("scores/ab", "scores/cd"):
        with pytest.raises(StoreUnusable, match=r"store s3://\S+: the service does not answer .*; check network"):
            storage.write(name, AFTER)
    assert bucket.contents() == {"scores/ab": BEFORE}
    assert trouble.happened >= 4


def test_an_image_whose_put_broke_off_was_never_made(s3: str, trouble: Trouble) -> None:
    store = Store(s3)
    trouble.method, trouble.how, trouble.times = "PUT", "cut", 100
    with pytest.raises(StoreUnusable):
        store.put_image(KEY, AFTER, {})
    trouble.times = 0
    assert store.image(KEY) is None
    store.put_image(KEY, AFTER, {})
    assert store.read_image(store.image(KEY)) == AFTER  # type: ignore[arg-type]


def test_a_service_that_stays_silent_is_asked_six_times_and_given_up(
    s3: str, trouble: Trouble, gs: str, gs_trouble: Trouble
) -> None:
    for address, service, method in ((s3, trouble, "PUT"), (gs, gs_trouble, "POST")):
        service.method, service.how, service.times = method, "hang", 100
        with pytest.raises(StoreUnusable, match=rf"store {address}: the service does not answer .*; check network"):
            ObjectStorage(address, patience=0.1).write("scores/ab", BEFORE)
        wait_for(lambda asked=service: asked.happened >= 6, 10)  # type: ignore[misc]
        assert service.happened == 6


def test_google_may_be_read_by_who_may_not_write(gs: str, gs_trouble: Trouble) -> None:
    Store(gs).put_scores(KEY, {"values": [1.0]})
    gs_trouble.method, gs_trouble.how, gs_trouble.times = "POST", "denied", 100
    store = Store(gs)
    assert store.read_only
    assert store.scores(KEY) == {"values": [1.0]}
    with pytest.raises(StoreUnusable, match="access denied: these credentials may not write there"):
        store.put_scores(OTHER, {})
    with pytest.raises(StoreUnusable, match="is read only and lacks 1 of 2 scores"):
        store.refuse_missing("1 of 2 scores")


def test_what_is_wrong_with_googles_storage_is_one_sentence_with_a_way_out(
    gs: str, gs_trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = "there is no bucket 'elsewhere'; make it, or give another --audit-store"
    assert missing in _said("gs://elsewhere/audits")
    with pytest.raises(StoreUnusable, match=missing):
        Store("gs://elsewhere/audits", looked_at=True).put_scores(KEY, {})
    gs_trouble.method, gs_trouble.how, gs_trouble.times = "GET", "denied", 100
    assert "access denied: these credentials may not list there" in _said(gs)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{_free_port()}")
    assert "the service does not answer" in _said(gs)


def test_an_empty_bucket_of_google_is_there_for_who_may_not_ask_about_it(gs_service: str, gs_trouble: Trouble) -> None:
    name = fresh()
    body = json.dumps({"name": name}).encode()
    asked = urllib.request.Request(f"{gs_service}/storage/v1/b", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(asked, timeout=30).close()
    gs_trouble.method, gs_trouble.how, gs_trouble.times = "GET", "denied", 1
    gs_trouble.path = f"/storage/v1/b/{name}"
    store = Store(f"gs://{name}/audits")
    assert gs_trouble.happened == 1
    store.put_scores(KEY, {"values": [1.0]})
    assert store.scores(KEY) == {"values": [1.0]}


def test_what_failed_among_many_is_raised_and_nothing_else_is_lost(s3: str, trouble: Trouble, bucket: Bucket) -> None:
    store = Store(s3)
    keys = [digest({"number": number}) for number in range(12)]
    trouble.method, trouble.how, trouble.times = "PUT", "busy", 5
    store.put_all_scores({key: {"values": [1.0]} for key in keys})
    assert trouble.happened == 5
    assert len(bucket.contents()) == 12


def _said(address: str) -> str:
    with pytest.raises(StoreUnusable) as caught:
        Store(address).put_scores(KEY, {})
    message = str(caught.value)
    assert message.startswith(f"store {address}: ")
    assert "\n" not in message
    assert message.endswith(".")
    return message


def test_what_is_wrong_with_an_address_is_one_sentence_with_a_way_out(
    s3: str, s3_service: S3Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = "there is no bucket 'elsewhere'; make it, or give another --audit-store"
    assert missing in _said("s3://elsewhere/audits")
    with pytest.raises(StoreUnusable, match=missing):
        Store("s3://elsewhere/audits", looked_at=True).scores(KEY)
    with monkeypatch.context() as wrong:
        wrong.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        assert "access denied: these credentials may not list there" in _said(s3)
    with monkeypatch.context() as none:
        none.delenv("AWS_ACCESS_KEY_ID")
        none.delenv("AWS_SECRET_ACCESS_KEY")
        assert "no credentials were found" in _said(s3)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{_free_port()}")
    assert "the service does not answer" in _said(s3)
    assert os.environ["AWS_ACCESS_KEY_ID"] == s3_service.writer["AWS_ACCESS_KEY_ID"]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
