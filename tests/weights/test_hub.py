"""The hub through its real client, spoken to by a small server; every client is a process with its own settings."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants
from weights.hub_server import COMMIT, Hub, serving

from aes_audit.generators.protocol import ImageRequest
from aes_audit.generators.resolve import resolve_generator

RESOLVE = """
import sys
from aes_audit.errors import ModelNotFound
from aes_audit.weights import hub
hub._TIMEOUT_S = 0.5
repo, revision = sys.argv[1:]
try:
    print(hub.resolve_commit(repo, revision or None))
except ModelNotFound as error:
    print("ModelNotFound", error)
"""

DOWNLOAD = """
import sys
from aes_audit.errors import ModelNotFound
from aes_audit.weights.pinned import resolve_weights
from aes_audit.weights.source import parse_source
from pathlib import Path
try:
    print(resolve_weights(parse_source(sys.argv[1], Path()), "model_index.json").folder())
except ModelNotFound as error:
    print("ModelNotFound", error)
"""


@pytest.fixture
def model(tiny_pipeline: Path, tmp_path: Path) -> Path:
    """What the repository holds: the tiny pipeline as a publisher would upload it."""
    folder = Path(shutil.copytree(tiny_pipeline, tmp_path / "upload"))
    (folder / "aes_audit.json").unlink()
    (folder / "README.md").write_text("A tiny model.")
    (folder / "transformer" / "diffusion_pytorch_model.bin").write_bytes(b"pickle")
    return folder


@pytest.fixture
def hub(model: Path) -> Iterator[Hub]:
    """A hub with one model and several ways to refuse."""
    refusing = Hub(
        repos={"tiny/model": model},
        gated=frozenset({"tiny/gated"}),
        hanging=frozenset({"tiny/hanging"}),
        closing=frozenset({"tiny/closing"}),
    )
    with serving(refusing):
        yield refusing


def ask(program: str, *words: str, endpoint: str, cache: Path, offline: bool = False) -> str:
    """What a fresh process prints whose hub client was set up by the environment, as a user does it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_OFFLINE": str(int(offline))}
    command = [sys.executable, "-c", program, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    return line


@pytest.mark.parametrize("revision", ["", "main", "v1"])
def test_a_branch_and_a_tag_become_a_commit(hub: Hub, tmp_path: Path, revision: str) -> None:
    assert ask(RESOLVE, "tiny/model", revision, endpoint=hub.url, cache=tmp_path / "hf") == COMMIT


def test_a_full_commit_is_not_asked_about(hub: Hub, tmp_path: Path) -> None:
    wanted = "f" * 40
    assert ask(RESOLVE, "tiny/model", wanted, endpoint=hub.url, cache=tmp_path / "hf") == wanted
    assert hub.requests == []


@pytest.mark.parametrize(
    ("repo", "revision", "complaint"),
    [
        ("tiny/model", "v9", "tiny/model has no revision 'v9': check the branch, tag or commit."),
        (
            "tiny/absent",
            "",
            "tiny/absent is not on the hub (or private): check the id, or log in with `hf auth login`.",
        ),
        (
            "tiny/gated",
            "",
            "tiny/gated is gated: accept its licence on the hub, then log in with `hf auth login` or set HF_TOKEN.",
        ),
        ("tiny/a--b", "", "'tiny/a--b' is not a hub id: write owner/name."),
    ],
)
def test_a_refusal_is_one_line_with_the_way_out(
    hub: Hub, tmp_path: Path, repo: str, revision: str, complaint: str
) -> None:
    assert ask(RESOLVE, repo, revision, endpoint=hub.url, cache=tmp_path / "hf") == f"ModelNotFound {complaint}"


@pytest.mark.parametrize("repo", ["tiny/hanging", "tiny/closing"])
def test_a_server_that_does_not_answer_is_said_in_one_line(hub: Hub, tmp_path: Path, repo: str) -> None:
    said = ask(RESOLVE, repo, "", endpoint=hub.url, cache=tmp_path / "hf")
    assert said.startswith(f"ModelNotFound {repo} cannot be fetched: the hub does not answer (")
    assert said.endswith("Check the network, or give a folder.")


def test_no_server_at_all_is_said_in_one_line(tmp_path: Path) -> None:
    said = ask(RESOLVE, "tiny/model", "", endpoint="http://127.0.0.1:9", cache=tmp_path / "hf")
    assert said.startswith("ModelNotFound tiny/model cannot be fetched: the hub does not answer (ConnectError).")


def test_offline_mode_without_a_cache_is_said_in_one_line(hub: Hub, tmp_path: Path) -> None:
    said = ask(DOWNLOAD, "tiny/model", endpoint=hub.url, cache=tmp_path / "hf", offline=True)
    assert said.startswith("ModelNotFound tiny/model is not complete in the local hub cache and the hub cannot be ")
    assert hub.requests == []


@pytest.mark.parametrize("spec", ["tiny/model", "tiny/model@v1", f"tiny/model@{COMMIT}"])
def test_what_was_downloaded_once_is_there_offline_and_without_a_server(hub: Hub, tmp_path: Path, spec: str) -> None:
    cache = tmp_path / "hf"
    folder = ask(DOWNLOAD, spec, endpoint=hub.url, cache=cache)
    asked = len(hub.requests)
    assert ask(DOWNLOAD, spec, endpoint=hub.url, cache=cache, offline=True) == folder
    assert len(hub.requests) == asked
    assert ask(DOWNLOAD, spec, endpoint="http://127.0.0.1:9", cache=cache) == folder


def test_weights_that_can_run_code_are_not_even_downloaded(hub: Hub, tmp_path: Path, model: Path) -> None:
    folder = Path(ask(DOWNLOAD, "tiny/model", endpoint=hub.url, cache=tmp_path / "hf"))
    wanted = {file.relative_to(model) for file in model.rglob("*") if file.is_file()}
    found = {file.relative_to(folder) for file in folder.rglob("*") if file.is_file()}
    assert {str(file) for file in wanted - found} == {"README.md", "transformer/diffusion_pytorch_model.bin"}
    assert not any(request.endswith(".bin") for request in hub.requests)


def test_a_repository_draws_the_very_pixels_of_the_folder_it_was_uploaded_from(
    hub: Hub, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    remote = resolve_generator("tiny/model@v1", root=tmp_path, device="cpu")
    local = resolve_generator(str(model), root=tmp_path, device="cpu")
    assert (remote.revision, local.revision[:7]) == (COMMIT, "sha256:")
    requests = [ImageRequest("a cat", 7)]
    (downloaded,), (uploaded,) = remote.load().generate(requests), local.load().generate(requests)
    assert np.array_equal(np.asarray(downloaded), np.asarray(uploaded))
    assert np.asarray(downloaded).shape == (16, 16, 3)
