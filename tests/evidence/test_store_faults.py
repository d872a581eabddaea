"""Object storage on bad days: what is asked again, what is said, and that nothing half is ever visible."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import pytest
from evidence.stored_places import Bucket
from evidence.troubled_service import Trouble, troubled
from object_servers import S3Service

from aes_audit.errors import StoreUnusable
from aes_audit.evidence.keys import digest
from aes_audit.evidence.storage.objects import ObjectStorage
from aes_audit.evidence.store import Store

KEY, OTHER = digest({"key": 1}), digest({"key": 2})
BEFORE, AFTER = b"before" * 10_000, b"afterwards" * 10_000


@pytest.fixture
def trouble(s3: str, s3_service: S3Service, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trouble]:
    """A proxy that the store talks to."""
    with troubled(s3_service.url) as trouble:
        monkeypatch.setenv("AWS_ENDPOINT_URL", trouble.url)
        yield trouble


@pytest.fixture
def bucket(s3: str, s3_service: S3Service) -> Bucket:
    return Bucket(s3, s3_service.client)


@pytest.mark.parametrize("how", ["busy", "cut", "torn"])
def test_what_a_busy_or_broken_service_did_not_take_is_sent_again(s3: str, trouble: Trouble, how: str) -> None:
    storage = ObjectStorage(s3)
    for method in ("PUT", "GET"):
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


def test_a_service_that_hangs_is_asked_again_and_given_up(s3: str, trouble: Trouble) -> None:
    storage = ObjectStorage(s3, patience=0.3)
    trouble.method, trouble.how, trouble.times = "GET", "hang", 1
    assert storage.read("scores/ab") is None
    trouble.happened, trouble.times = 0, 100
    started = time.monotonic()
    with pytest.raises(StoreUnusable, match="the service does not answer"):
        storage.read("scores/ab")
    assert time.monotonic() - started < 60


def test_what_failed_among_many_is_raised_and_nothing_else_is_lost(s3: str, trouble: Trouble, bucket: Bucket) -> None:
    store = Store(s3)
    keys = [digest({"number": number}) for number in range(40)]
    trouble.method, trouble.how, trouble.times = "PUT", "busy", 10
    store.put_all_scores({key: {"values": [1.0]} for key in keys})
    assert trouble.happened == 10
    assert len(bucket.contents()) == 40


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
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    assert "the service does not answer" in _said(s3)
    assert os.environ["AWS_ACCESS_KEY_ID"] == s3_service.writer["AWS_ACCESS_KEY_ID"]
