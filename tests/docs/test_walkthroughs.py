"""What the documentation tells people to type, typed in a copy of a clone, and what it says is printed then."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest
from docs.blocks import PAGES, ROOT, Block, blocks

WALKED = [page for page in PAGES if any(block.exit_code is not None for block in blocks(page))]

CLONE = ("audits", "baselines", "benchmarks", "fixtures", "conftest.py", "constraints.txt", "pyproject.toml")

_NUMBER = r"(?<![\w.])-?\d+(?:\.\d+)?(?:e-?\d+)?(?!\w)"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all pages, so that each image is drawn once."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def clone(tmp_path: Path, store: Path) -> Path:
    """What a reader has after cloning, without what the pages do not touch."""
    for name in CLONE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    (tmp_path / ".aes_audit").symlink_to(store)
    return tmp_path


def steps(page: Path) -> Iterator[tuple[Block, str]]:
    """Every block to run, with what it must print: the `text` blocks after it."""
    known = blocks(page)
    for index, block in enumerate(known):
        if block.exit_code is not None:
            printed = takewhile(lambda after: after.language == "text", known[index + 1 :])
            yield block, "".join(after.text for after in printed)


@pytest.mark.heavy
@pytest.mark.parametrize("page", WALKED, ids=lambda page: page.name)
def test_the_page_does_what_it_says(page: Path, clone: Path) -> None:
    for block in blocks(page):
        if block.file and not (clone / block.file).exists():
            (clone / block.file).parent.mkdir(parents=True, exist_ok=True)
            (clone / block.file).write_text(block.text, encoding="utf-8")
    scripts = Path(sys.executable).parent
    packages = [path.parent for path in clone.glob("*/pyproject.toml")]
    for package in packages:
        _install(package)
    environment = os.environ | {
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([*map(str, packages), os.environ.get("PYTHONPATH", "")]),
    }
    for block, printed in steps(page):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.text],
            cwd=clone,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1800,
            check=False,
        )
        assert done.returncode == block.exit_code, f"{block.place}\n{done.stdout}"
        absent = [line for line in printed.splitlines() if line != "..." and not said(line, done.stdout)]
        assert not absent, f"{block.place} does not print\n{absent}\nbut\n{done.stdout}"


def _install(package: Path) -> None:
    """What `pip install` of a page's package would leave, in its own folder: the entry points, and no other change."""
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = package / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = ((group, entry) for group, entries in project["entry-points"].items() for entry in entries.items())
    (info / "entry_points.txt").write_text("".join(f"[{group}]\n{name} = {place}\n" for group, (name, place) in groups))


def said(line: str, output: str) -> bool:
    """Whether the words stand in the output, however spaced, with numbers that agree to 0.01 or 2%."""
    line = re.sub(r"==+", "", line).strip()
    numbers = re.findall(_NUMBER, line)
    words = [r"\s+".join(map(re.escape, re.split(r"\s+", text))) for text in re.split(_NUMBER, line)]
    pattern = rf"({_NUMBER})".join(words)
    return any(
        all(math.isclose(float(a), float(b), rel_tol=0.02, abs_tol=0.01) for a, b in zip(match, numbers, strict=True))
        for match in (found.groups() for found in re.finditer(pattern, output))
    )


def test_numbers_are_compared_and_words_must_be_the_same() -> None:
    output = "x success_rate  0.427  [0.346,\n 0.510]  150 FAIL"
    assert said("success_rate 0.43 [0.35, 0.51] 150 FAIL\n", output)
    assert not said("success_rate 0.63 [0.35, 0.51] 150 FAIL\n", output)
    assert not said("success_rate 0.427 [0.346, 0.510] 150 pass\n", output)


def test_pages_to_walk_are_found() -> None:
    assert {"README.md", "tutorial.md", "own_audit.md"} <= {page.name for page in WALKED}
