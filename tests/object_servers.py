"""Servers that speak the protocols of object storage, each a process of its own: moto's for S3, an emulator for GCS."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

BUCKET = "bucket"

OTHERS = (
    "AWS_DEFAULT_PROFILE",
    "AWS_ENDPOINT_URL_S3",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_SESSION_TOKEN",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CLOUD_PROJECT",
)
"""Variables of whoever runs the tests that would win, or lead elsewhere."""

_READING = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}
_ALL = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}


@dataclass(frozen=True)
class S3Service:
    """A server that checks who asks and what they may do."""

    url: str
    writer: Mapping[str, str]
    """Environment of someone who may do everything."""
    reader: Mapping[str, str]
    """Environment of someone who may read and list."""

    @property
    def client(self) -> Any:
        """boto3's, which the store does not use."""
        import boto3

        keys = {name.lower(): value for name, value in self.writer.items() if name.endswith("KEY_ID")}
        secret = self.writer["AWS_SECRET_ACCESS_KEY"]
        return boto3.client("s3", endpoint_url=self.url, region_name="us-east-1", aws_secret_access_key=secret, **keys)

    def at(self, url: str, who: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment for another address of the same server."""
        return {**(who or self.writer), "AWS_ENDPOINT_URL": url}


def fresh() -> str:
    """A prefix that nobody has used."""
    return uuid.uuid4().hex[:12]


@contextmanager
def served_s3() -> Iterator[S3Service]:
    """moto's server with one bucket; from then on it looks at signatures and policies."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    with _served([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], f"{url}/moto-api/"):
        writer, reader = (_user(url, name, rights) for name, rights in (("writer", _ALL), ("reader", _READING)))
        service = S3Service(url, writer, reader)
        service.client.create_bucket(Bucket=BUCKET)
        _post(f"{url}/moto-api/reset-auth", b"0")
        yield service


@contextmanager
def served_gs() -> Iterator[str]:
    """The address of an emulator of Google Cloud Storage with one bucket."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "gcp_storage_emulator", "start", "--host=127.0.0.1", f"--port={port}", "-M", "-q"]
    with _served([*command, f"--default-bucket={BUCKET}"], f"{url}/storage/v1/b/{BUCKET}"):
        yield url


def _user(url: str, name: str, rights: Mapping[str, object]) -> Mapping[str, str]:
    """The environment of a new user with these rights."""
    import boto3

    iam = boto3.client(
        "iam", endpoint_url=url, region_name="us-east-1", aws_access_key_id="first", aws_secret_access_key="first"
    )
    iam.create_user(UserName=name)
    policy = json.dumps({"Version": "2012-10-17", "Statement": [rights]})
    iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=policy)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return s3_environment(url, key["AccessKeyId"], key["SecretAccessKey"])


def s3_environment(url: str, key: str = "nobody", secret: str = "nothing") -> dict[str, str]:
    """What the client library needs to know of a server of S3's protocol; OTHERS must not be set."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        # What the user of this machine has set up is nobody's business here.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def gs_environment(url: str) -> dict[str, str]:
    """The same for a server of Google Cloud Storage's protocol."""
    return {"STORAGE_EMULATOR_HOST": url, "NO_GCE_CHECK": "true"}


@contextmanager
def _served(command: Sequence[str], ready: str) -> Iterator[None]:
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await(ready, server)
        yield
    finally:
        server.terminate()
        server.wait()


def _await(url: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"no server answers at {url}")


def _post(url: str, body: bytes) -> None:
    asked = urllib.request.Request(url, body, {"Content-Type": "text/plain"}, method="POST")
    urllib.request.urlopen(asked, timeout=30).close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
