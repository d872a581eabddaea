"""Folders pinned by content: what counts, what does not, what is refused, and what is remembered between runs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from aes_audit.errors import ModelNotFound, UnsafeWeights
from aes_audit.weights.pinned import fingerprint, resolve_weights
from aes_audit.weights.source import Source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder with a file in a sub-folder."""
    model = tmp_path / "model"
    (model / "unet").mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model / "unet" / "model.safetensors").write_bytes(b"weights")
    return model


def test_a_copy_elsewhere_is_the_same_model(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "deep" / "elsewhere"))
    assert fingerprint(copy) == fingerprint(folder)
    here, there = (resolve_weights(Source(place), "config.json") for place in (folder, copy))
    assert here.identity == there.identity


def test_one_changed_byte_is_another_model(folder: Path) -> None:
    before = fingerprint(folder)
    (folder / "unet" / "model.safetensors").write_bytes(b"weightz")
    assert fingerprint(folder) != before


def test_a_renamed_a_moved_an_added_and_a_removed_file_are_other_models(folder: Path) -> None:
    seen = [fingerprint(folder)]
    file = folder / "unet" / "model.safetensors"
    file = file.rename(folder / "unet" / "other.safetensors")
    seen.append(fingerprint(folder))
    file = file.rename(folder / "other.safetensors")
    seen.append(fingerprint(folder))
    (folder / "more.safetensors").write_bytes(b"")
    seen.append(fingerprint(folder))
    file.unlink()
    seen.append(fingerprint(folder))
    assert len(set(seen)) == 5


@pytest.mark.parametrize("name", ["README.md", "unet/sample.PNG", ".gitattributes", ".git/HEAD", "a.webp"])
def test_documentation_and_hidden_files_do_not_count(folder: Path, name: str) -> None:
    before = fingerprint(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("words")
    assert fingerprint(folder) == before


def test_a_hidden_folder_above_the_model_hides_nothing(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / ".cache" / "model"))
    (copy / "config.json").write_text("{ }")
    assert fingerprint(copy) != fingerprint(folder)


def test_an_unchanged_file_is_read_once_for_all_runs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    first = fingerprint(folder, cache)

    def refuse(*_: object) -> None:
        raise AssertionError("a file was read again")

    monkeypatch.setattr(hashlib, "file_digest", refuse)
    assert fingerprint(folder, cache) == first


def test_a_changed_modification_time_has_the_file_read_again(folder: Path, tmp_path: Path) -> None:
    file, cache = folder / "unet" / "model.safetensors", tmp_path / "cache"
    first = fingerprint(folder, cache)
    stamp = file.stat()
    file.write_bytes(b"weightz")
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1_000_000))
    assert fingerprint(folder, cache) == fingerprint(folder) != first


@pytest.mark.parametrize("garbage", ["", "[", "5", "[1]", "null", '{"a": 1}', "\udc80"])
def test_a_garbled_digest_cache_is_ignored_and_replaced(folder: Path, tmp_path: Path, garbage: str) -> None:
    cache = tmp_path / "cache"
    first = fingerprint(folder, cache)
    (file,) = cache.iterdir()
    file.write_bytes(garbage.encode("utf-8", "surrogateescape"))
    assert fingerprint(folder, cache) == first
    assert set(json.loads(file.read_text())) >= {str(folder / "config.json")}


def test_a_shortened_cache_entry_is_not_trusted(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = fingerprint(folder, cache)
    (file,) = cache.iterdir()
    file.write_text(json.dumps({name: stamp[:2] for name, stamp in json.loads(file.read_text()).items()}))
    assert fingerprint(folder, cache) == first


def test_a_digest_cache_that_cannot_be_written_changes_nothing(folder: Path, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    assert fingerprint(folder, in_the_way) == fingerprint(folder, in_the_way / "deeper") == fingerprint(folder)


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".ckpt", ".pkl"])
def test_weights_that_can_run_code_are_refused(folder: Path, suffix: str) -> None:
    safe = folder / "unet" / "model.safetensors"
    (safe.with_suffix(suffix)).write_bytes(b"pickle")
    assert resolve_weights(Source(folder), "config.json").revision.startswith("sha256:"), "safetensors lie beside them"
    safe.unlink()
    with pytest.raises(UnsafeWeights, match=rf"^.*unet/model\{suffix} can run code.*safetensors\.$"):
        resolve_weights(Source(folder), "config.json")


def test_a_missing_folder_and_a_folder_of_something_else_are_said_in_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"^model folder '.*nowhere' does not exist: check the path\.$"):
        resolve_weights(Source(tmp_path / "nowhere"), "config.json")
    with pytest.raises(ModelNotFound, match=r"^model folder '.*' holds no model_index\.json: .*$"):
        resolve_weights(Source(folder), "model_index.json")


def test_a_folder_that_cannot_be_read_is_said_in_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(hashlib, "file_digest", fail)
    with pytest.raises(ModelNotFound, match=r"^model folder '.*' cannot be read: .*Input/output error\.$"):
        fingerprint(folder)


def test_local_weights_are_used_where_they_lie(folder: Path) -> None:
    assert resolve_weights(Source(folder), "config.json").folder() == folder
