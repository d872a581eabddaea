"""Object storage for tests: a server for each worker that needs one, and a store's address for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from object_servers import BUCKET, S3Service, fresh, gs_environment, served_gs, served_s3


@pytest.fixture(scope="session")
def s3_service() -> Iterator[S3Service]:
    """An S3-speaking server that checks signatures and policies."""
    with served_s3() as service:
        yield service


@pytest.fixture
def s3(s3_service: S3Service, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty store there, with the environment of someone who may write."""
    for name, value in s3_service.writer.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{fresh()}"


@pytest.fixture(scope="session")
def gs_service() -> Iterator[str]:
    """The address of an emulator of Google Cloud Storage."""
    with served_gs() as url:
        yield url


@pytest.fixture
def gs(gs_service: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty store there."""
    for name, value in gs_environment(gs_service).items():
        monkeypatch.setenv(name, value)
    return f"gs://{BUCKET}/{fresh()}"
