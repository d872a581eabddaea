"""The plugin works from another repository: an installed wheel carries controls, prompts, thresholds and audits."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from sharing import made_once

ROOT = Path(__file__).resolve().parents[1]

AUDIT = """
def test_wide_images_exist(evidence, generator, reward, judge):
    assert len(evidence.items("control/faithful", "pairs")) == 12 and generator and reward and judge
"""


@pytest.fixture(scope="session")
def site(run_folder: Path) -> Path:
    """A folder with the wheel installed, and nothing of the checkout."""
    return made_once(run_folder / "wheel", _install) / "site"


def _install(folder: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("aes_audit-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")


def _pytest(site: Path, repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # The wheel comes first on the path, so that neither the checkout nor its editable installation is used.
    script = f"import sys; sys.path.insert(0, {str(site)!r}); import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)


def test_a_two_line_audit_in_another_repository_uses_the_session_fixtures(site: Path, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (tmp_path / "test_own.py").write_text(AUDIT)
    result = _pytest(site, tmp_path, "--model=control/faithful", "--audit-pairs=12", "-q")
    assert result.returncode == 0, result.stdout + result.stderr
    assert str(ROOT) not in result.stdout
    assert (tmp_path / ".aes_audit" / "images").is_dir()


def test_the_shipped_audits_run_from_the_wheel(site: Path, tmp_path: Path) -> None:
    arguments = ("--pyargs", "aes_audit.audits", "--model=control/faithful", "--collect-only", "-q")
    result = _pytest(site, tmp_path, *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "test_wide_prompts_are_followed[control/faithful, by preference/control-judge]" in result.stdout


def test_the_wheel_carries_what_it_needs_and_no_tests(site: Path) -> None:
    shipped = {path.relative_to(site / "aes_audit").parts[0] for path in (site / "aes_audit").rglob("*")}
    assert {"audits", "fixtures", "controls", "plugin.py"} <= shipped
    assert not list(site.rglob("tiny_models.py"))
    assert (site / "aes_audit/fixtures/controls/faithful/model_index.json").is_file()
