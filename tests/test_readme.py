"""What the README promises is what continuous integration runs."""

from __future__ import annotations

import re
from pathlib import Path

from aes_audit.option_table import OPTION_FLAGS

ROOT = Path(__file__).resolve().parents[1]


def _commands() -> list[str]:
    return re.findall(r"```bash\n(.*?)\n```", (ROOT / "README.md").read_text(), flags=re.DOTALL)


def test_ci_calls_exactly_the_two_commands_of_the_readme() -> None:
    calls = [line for line in (ROOT / ".ci/run").read_text().splitlines() if line.startswith("pip install")]
    assert calls == _commands()[:2]


def test_both_commands_stand_on_the_first_screen() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:24])
    assert all(command in first_screen for command in _commands()[:2])


def test_every_option_that_the_readme_names_exists() -> None:
    ours = r"(--(?:audit-[a-z-]+|model|base-model|reward|judge|profile|evidence|engine))\b"
    named = set(re.findall(ours, (ROOT / "README.md").read_text()))
    assert named
    assert named <= set(OPTION_FLAGS)
