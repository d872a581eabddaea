"""A reward that another package brings: the example of docs/rewards.md, installed and run, and its ways to be wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from PIL import Image
from aes_audit.errors import AesAuditError
from aes_audit.rewards.protocol import answers
from aes_audit.rewards.registry import resolve_reward, scorer_name
from pathlib import Path
try:
    reward = resolve_reward(sys.argv[1], device="cpu", root=Path(sys.argv[2]))
    print(reward.name, "|", reward.revision)
    print(scorer_name(sys.argv[1], device="cpu"))
    print(sorted((name, value) for name, value in reward.identity.items() if value))
    loaded = reward.load()
    found = answers(loaded, [Image.new("RGB", (4, 4), (50, 150, 0))], ["a meadow"])
    print([(answer.value, answer.error) for answer in found])
except AesAuditError as error:
    print(type(error).__name__, error)
"""


def install(site: Path, module: str, code: str, points: dict[str, str], version: str = "1.0", name: str = "") -> None:
    """What an installer leaves behind: the module, and its metadata with the entry points."""
    site.mkdir(exist_ok=True)
    (site / f"{module}.py").write_text(code)
    info = site / f"{name or module}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name or module}\nVersion: {version}\n")
    lines = [f"{reward} = {target}" for reward, target in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[aes_audit.rewards]", *lines, ""]))


def ask(site: Path, spec: str) -> list[str]:
    """What a fresh process prints in which the packages of `site` are installed."""
    environment = os.environ | {"PYTHONPATH": str(site)}
    command = [sys.executable, "-c", PROGRAM, spec, str(site)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def example() -> tuple[str, dict[str, object]]:
    """The two files of the documentation."""
    text = (ROOT / "docs" / "rewards.md").read_text(encoding="utf-8")
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "class Greenness" in block)
    (project,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    return code, tomllib.loads(project)["project"]


@pytest.fixture
def site(tmp_path: Path, example: tuple[str, dict[str, object]]) -> Path:
    """A place where the example is installed."""
    code, project = example
    points = project["entry-points"]
    assert isinstance(points, dict)
    install(tmp_path / "site", str(project["name"]), code, points["aes_audit.rewards"], str(project["version"]))
    return tmp_path / "site"


def test_the_documented_example_scores(site: Path) -> None:
    assert ask(site, "greenness") == [
        "greenness | greenness 1.0",
        "greenness",
        "[('kind', 'entry-point'), ('package', 'greenness 1.0'), ('reward', 'greenness')]",
        "[(75.0, None)]",
    ]


def test_options_become_part_of_name_and_identity(site: Path) -> None:
    name, _, identity, scores = ask(site, "greenness[of=red]")
    assert name == "greenness[of=red] | greenness 1.0"
    assert "('options', {'of': 'red'})" in identity
    assert scores == "[(25.0, None)]"


def test_a_path_counts_by_content(site: Path) -> None:
    (site / "weights.bin").write_bytes(b"1")
    first = ask(site, "greenness=weights.bin")[2]
    assert "('path', 'sha256:" in first
    (site / "copy.bin").write_bytes(b"1")
    assert ask(site, "greenness=copy.bin")[2] == first
    (site / "weights.bin").write_bytes(b"2")
    assert ask(site, "greenness=weights.bin")[2] != first
    assert ask(site, "greenness=absent.bin")[0].startswith("ModelNotFound reward 'greenness': ")


def test_the_documented_example_is_audited_by_pytest(site: Path, tmp_path: Path) -> None:
    (tmp_path / "test_reward.py").write_text(
        "from PIL import Image\n"
        "def test_it(reward):\n"
        "    assert reward.score([Image.new('RGB', (4, 4), (50, 150, 0))], ['a meadow']) == [75.0]\n"
    )
    environment = os.environ | {"PYTHONPATH": str(site)}
    command = [sys.executable, "-m", "pytest", "-q", "--reward", "greenness", f"--audit-store={tmp_path / 'store'}"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", str(tmp_path / "test_reward.py")],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_the_users_own_error_and_an_unknown_name_are_one_line(site: Path) -> None:
    assert ask(site, "greenness[of=pink]") == ["UsageError greenness[of=pink]: of is one of red, green, blue."]
    (said,) = ask(site, "greeness")
    assert said.startswith("UnknownName unknown reward 'greeness'. Did you mean 'greenness'?")


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        (
            "import absent_library",
            "InfrastructureError reward 'odd' of odd 1.0 cannot be imported: ModuleNotFoundError",
        ),
        (
            "class Odd:\n    pass",
            "UsageError reward 'odd' of odd 1.0 does not take path, revision, options and device: ",
        ),
        ("class Odd:\n    def __init__(self, **_): pass", "InfrastructureError reward 'odd': Odd has no method score"),
    ],
)
def test_a_broken_package_is_named(tmp_path: Path, code: str, complaint: str) -> None:
    install(tmp_path / "site", "odd", code, {"odd": "odd:Odd"})
    assert ask(tmp_path / "site", "odd")[-1].startswith(complaint)


def test_two_packages_with_one_name_are_both_named(site: Path) -> None:
    install(site, "meadow", "class Meadow: ...", {"greenness": "meadow:Meadow"})
    (said,) = ask(site, "greenness")
    assert said == "UsageError reward 'greenness' is brought by greenness 1.0 and meadow 1.0: uninstall one of them."


def test_a_reward_that_loads_later_says_more_about_itself(tmp_path: Path) -> None:
    code = (
        "class Later:\n"
        "    revision = 'r7'\n"
        "    identity = {'threshold': 3}\n"
        "    def __init__(self, *, path, revision, options, device): pass\n"
        "    def load(self): return Loaded()\n"
        "class Loaded:\n"
        "    def score(self, images, texts): return [float('nan') for _ in images]\n"
    )
    install(tmp_path / "site", "later", code, {"later": "later:Later"})
    name, _, identity, scores = ask(tmp_path / "site", "later")
    assert name == "later | r7"
    assert "('own', {'threshold': 3})" in identity
    assert scores == "[(None, 'the reward gave nan')]"
