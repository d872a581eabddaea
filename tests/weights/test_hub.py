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
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from weights.hub_server import COMMIT, OLDER, Hub, serving, turn_client

from aes_audit.generators.protocol import ImageRequest
from aes_audit.generators.resolve import resolve_generator

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"

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
def older(model: Path, tmp_path: Path) -> Path:
    """The repository at an older commit."""
    folder = Path(shutil.copytree(model, tmp_path / "older"))
    (folder / "model_index.json").write_text((model / "model_index.json").read_text() + "\n")
    return folder


@pytest.fixture
def hub(model: Path, older: Path) -> Iterator[Hub]:
    """A hub with one model and several ways to refuse."""
    refusing = Hub(
        repos={"tiny/model": model, "tiny/locked": model},
        older={"tiny/model": older},
        locked=frozenset({"tiny/locked"}),
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


@pytest.mark.parametrize(("revision", "commit"), [("", COMMIT), ("v1", COMMIT), ("old", OLDER), ("refs/pr/1", OLDER)])
def test_a_branch_and_a_tag_become_a_commit(hub: Hub, tmp_path: Path, revision: str, commit: str) -> None:
    assert ask(RESOLVE, "tiny/model", revision, endpoint=hub.url, cache=tmp_path / "hf") == commit


@pytest.mark.parametrize("revision", ["old", OLDER])
def test_the_files_are_those_of_the_revision(hub: Hub, tmp_path: Path, older: Path, revision: str) -> None:
    folder = Path(ask(DOWNLOAD, f"tiny/model@{revision}", endpoint=hub.url, cache=tmp_path / "hf"))
    assert folder.name == OLDER
    assert (folder / "model_index.json").read_bytes() == (older / "model_index.json").read_bytes()


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


def test_a_cache_that_lacks_a_file_is_not_taken_for_complete(hub: Hub, tmp_path: Path) -> None:
    cache = tmp_path / "hf"
    folder = Path(ask(DOWNLOAD, "tiny/model", endpoint=hub.url, cache=cache))
    (folder / WEIGHTS).unlink()
    said = ask(DOWNLOAD, "tiny/model", endpoint=hub.url, cache=cache, offline=True)
    assert said.startswith("ModelNotFound tiny/model is not complete in the local hub cache and the hub cannot be ")


def test_a_broken_transfer_is_resumed_where_it_broke_off(hub: Hub, tmp_path: Path, model: Path) -> None:
    hub.breaking["model.safetensors"] = 1
    # The client drops a piece that did not arrive as a whole; its pieces are larger than the tiny files.
    program = f"from huggingface_hub import constants\nconstants.DOWNLOAD_CHUNK_SIZE = 1000\n{DOWNLOAD}"
    folder = Path(ask(program, "tiny/model", endpoint=hub.url, cache=tmp_path / "hf"))
    for name in ("text_encoder", "text_encoder_2"):
        assert (folder / name / "model.safetensors").read_bytes() == (model / name / "model.safetensors").read_bytes()
    (resumed,) = [request for request in hub.requests if "bytes=" in request]
    assert "text_encoder" in resumed
    half = (model / "text_encoder" / "model.safetensors").stat().st_size // 2
    assert int(resumed.rpartition("bytes=")[2].rstrip("-")) == half // 1000 * 1000


def test_a_file_of_another_size_than_announced_is_refused_and_not_kept(hub: Hub, tmp_path: Path) -> None:
    hub.lying = frozenset({"config.json"})
    cache = tmp_path / "hf"
    said = ask(DOWNLOAD, "tiny/model", endpoint=hub.url, cache=cache)
    assert said.startswith("ModelNotFound tiny/model cannot be fetched: Consistency check failed: file should be of ")
    hub.lying = frozenset()
    folder = Path(ask(DOWNLOAD, "tiny/model", endpoint=hub.url, cache=cache))
    assert (folder / "transformer" / "config.json").read_text().endswith("}\n")


def test_a_repository_whose_files_alone_are_gated_is_said_to_be_gated(hub: Hub, tmp_path: Path) -> None:
    said = ask(DOWNLOAD, "tiny/locked", endpoint=hub.url, cache=tmp_path / "hf")
    assert said == (
        "ModelNotFound tiny/locked is gated: accept its licence on the hub, then log in with `hf auth login` or "
        "set HF_TOKEN."
    )


def test_weights_that_can_run_code_are_not_even_downloaded(hub: Hub, tmp_path: Path, model: Path) -> None:
    folder = Path(ask(DOWNLOAD, "tiny/model", endpoint=hub.url, cache=tmp_path / "hf"))
    wanted = {file.relative_to(model) for file in model.rglob("*") if file.is_file()}
    found = {file.relative_to(folder) for file in folder.rglob("*") if file.is_file()}
    assert {str(file) for file in wanted - found} == {"README.md", "transformer/diffusion_pytorch_model.bin"}
    assert not any(request.endswith(".bin") for request in hub.requests)


@pytest.fixture
def client(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process's own hub client, turned to the server; returns its cache."""
    turn_client(monkeypatch, hub.url, tmp_path / "hf")
    return tmp_path / "hf"


def pixels(spec: str, root: Path) -> NDArray[np.uint8]:
    """One image of the model, through everything that a run does."""
    (image,) = resolve_generator(spec, root=root, device="cpu").load().generate([ImageRequest("a cat", 7)])
    return np.asarray(image)


@pytest.mark.usefixtures("client")
def test_a_repository_draws_the_very_pixels_of_the_folder_it_was_uploaded_from(
    hub: Hub, tmp_path: Path, model: Path
) -> None:
    remote = resolve_generator("tiny/model@v1", root=tmp_path, device="cpu")
    local = resolve_generator(str(model), root=tmp_path, device="cpu")
    assert (remote.revision, local.revision[:7]) == (COMMIT, "sha256:")
    downloaded, uploaded = pixels("tiny/model@v1", tmp_path), pixels(str(model), tmp_path)
    assert np.array_equal(downloaded, uploaded)
    assert downloaded.shape == (16, 16, 3)


@pytest.mark.usefixtures("client")
def test_pipeline_adapter_and_transformer_from_the_hub_draw_what_the_folders_draw(
    hub: Hub, tmp_path: Path, model: Path, tiny_lora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As publishers do: the same weights in two precisions, for other programs, and as pickles.
    for name in ("transformer/diffusion_pytorch_model.fp16.safetensors", "all_in_one.safetensors", "old.ckpt"):
        shutil.copy(model / WEIGHTS, model / name)
    other = Path(shutil.copytree(model, tmp_path / "other"))
    weights = {name: tensor * 1.5 for name, tensor in load_file(model / WEIGHTS).items()}
    save_file(weights, other / WEIGHTS, metadata={"format": "pt"})
    hub.repos = {**hub.repos, "tiny/lora": tiny_lora, "tiny/other": other}
    remote = f"tiny/model+transformer=tiny/other/{WEIGHTS}+lora=tiny/lora"
    local = f"{model}+transformer={other / WEIGHTS}+lora={tiny_lora}"
    image = pixels(remote, tmp_path)
    assert np.array_equal(image, pixels(local, tmp_path))
    assert not np.array_equal(image, pixels(str(model), tmp_path))
    fetched = {request.split("/resolve/")[1].partition("/")[2] for request in hub.requests if "GET /tiny/" in request}
    assert WEIGHTS in fetched, "of the other repository"
    assert not fetched & {"all_in_one.safetensors", "old.ckpt", "transformer/diffusion_pytorch_model.fp16.safetensors"}
    assert sum(f"/resolve/{COMMIT}/{WEIGHTS}" in request for request in hub.requests if "GET" in request) == 1

    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert np.array_equal(image, pixels(remote, tmp_path))
    assert hub.requests == []
