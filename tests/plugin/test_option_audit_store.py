"""--audit-store: a folder, relative to where it was typed, or a URL; one that is read only is enough to judge by."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from evidence.stored_places import Bucket, Folder
from object_servers import S3Service

from aes_audit.evidence.batches import WHOLE
from aes_audit.options import collecting_config
from plugin.live import LiveProject


def test_folders_are_relative_to_where_they_were_typed_and_urls_stay_as_they_are(tmp_path: Path) -> None:
    typed = {
        "store": str(tmp_path / "store"),
        "/elsewhere/store": "/elsewhere/store",
        "s3://bucket/a/": "s3://bucket/a",
    }
    for given, expected in typed.items():
        assert collecting_config({"audit_store": given}, tmp_path, WHOLE).store == expected


def test_a_variable_that_is_not_set_makes_no_store_of_the_working_directory(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--audit-store=", "-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: '' is no address of a store: give a folder, *"])


def test_a_url_of_no_known_kind_ends_the_run_with_one_sentence(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--audit-store=https://bucket/audits", "-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *is no address of a store: give a folder, s3://BUCKET/PREFIX or gs://*"])


def test_a_suite_without_audits_needs_no_place_for_the_store(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest("--audit-store=s3://bucket/audits", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)


@pytest.mark.heavy
def test_the_suite_judges_by_a_bucket_that_may_only_be_read(
    live: LiveProject, s3: str, s3_service: S3Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(live.root / "cache"))
    live.run("--model=./model", f"--audit-store={s3}", "--audit-report=report").assert_outcomes(passed=1)
    before = Bucket(s3, s3_service.client).contents()
    for name, value in s3_service.reader.items():
        monkeypatch.setenv(name, value)
    again = live.run("--model=./model", f"--audit-store={s3}", "--audit-report=again")
    again.assert_outcomes(passed=1)
    again.stdout.fnmatch_lines([f"*, store {s3} (read only)"])
    bless = ("--audit-calibrate=rescore:2", "--snapshot-update", "--audit-bless=noise")
    live.run("--model=./model", f"--audit-store={s3}", *bless).assert_outcomes(passed=1)
    assert Bucket(s3, s3_service.client).contents() == before
    assert Folder(live.root / "again").root.joinpath("images").is_dir()
    missing = live.run("--model=./model", f"--audit-store={s3}", "--audit-pairs=6", "--audit-early-stop=off")
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines([f"*store {s3} is read only and lacks 2 of 12 images by ./model: give another *"])


SUITE = """
mount --bind "$STORE" "$STORE"
mount -o remount,bind,ro "$STORE"
! touch "$STORE/probe" 2>/dev/null
"$PYTHON" -m pytest "$@"
"""


@pytest.mark.heavy
def test_the_suite_judges_by_a_folder_that_is_mounted_to_be_read(live: LiveProject) -> None:
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare to mount something with")
    live.run("--model=./model").assert_outcomes(passed=1)
    store = live.root / ".aes_audit"
    before = Folder(store).contents()
    options = (
        "--profile=tiny",
        "--model=./model",
        "--audit-device=cpu",
        "--audit-health=off",
        "-p",
        "no:cacheprovider",
    )
    environment = {
        **os.environ,
        "STORE": str(store),
        "PYTHON": sys.executable,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "XDG_CACHE_HOME": str(live.root / "cache"),
    }
    found = {}
    for pairs in (5, 6):
        found[pairs] = subprocess.run(
            [unshare, "--user", "--map-root-user", "--mount", "sh", "-ec", SUITE, "sh", *options,
             "-p", "no:cacheprovider", f"--audit-pairs={pairs}", "--audit-early-stop=off"],
            cwd=live.root, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if "unshare" in found[pairs].stderr or "mount" in found[pairs].stderr:
            pytest.skip(f"no namespaces here: {found[pairs].stderr.strip()}")
    assert found[5].returncode == 0, found[5].stdout
    assert f"store {store} (read only)" in found[5].stdout
    assert found[6].returncode == 1
    assert f"store {store} is read only and lacks 2 of 12 images by ./model: give another" in found[6].stdout
    assert Folder(store).contents() == before


@pytest.mark.heavy
def test_a_full_disk_is_refused_before_the_first_image_and_does_not_matter_when_all_are_there(
    live: LiveProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def full(source: str, target: str) -> None:
        if ".aes_audit" in str(target):
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as disk:
        disk.setattr(os, "replace", full)
        (live.root / ".aes_audit").mkdir()
        for marker in (".gitignore", "CACHEDIR.TAG"):
            (live.root / ".aes_audit" / marker).touch()
        cold = live.run("--model=./model")
        assert cold.ret == pytest.ExitCode.USAGE_ERROR
        cold.stderr.fnmatch_lines(["*store: cannot use *: the disk is full; free some space*"])
    live.run("--model=./model").assert_outcomes(passed=1)
    with monkeypatch.context() as disk:
        disk.setattr(os, "replace", full)
        live.run("--model=./model").assert_outcomes(passed=1)
