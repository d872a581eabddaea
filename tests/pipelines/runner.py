"""A runner of composite actions: the shell steps of action.yml, as GitHub runs them, in a folder of a test."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[2]
ACTION: Mapping[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
INPUT = re.compile(r"\$\{\{ inputs\.([\w-]+) \}\}")


@dataclass
class Finished:
    """What a run of the action left behind."""

    codes: dict[str, int] = field(default_factory=dict)
    """Exit code of every shell step that ran, by name."""
    outputs: dict[str, str] = field(default_factory=dict)
    """Outputs of all steps."""
    log: str = ""
    """What the steps printed."""
    summary: str = ""
    """The step summary."""


class Runner:
    """One job in a workspace of its own."""

    def __init__(self, workspace: Path) -> None:
        """`workspace` is what the checkout would have filled."""
        self.workspace = workspace
        self.temp = workspace.parent / f"{workspace.name}-runner"
        self.temp.mkdir()

    def run(self, **inputs: str) -> Finished:
        """Every shell step in turn until one fails; actions of others are not run. Hyphens are written `_`."""
        given = {name: str(told.get("default", "")) for name, told in ACTION["inputs"].items()}
        given |= {name.replace("_", "-"): value for name, value in inputs.items()}
        finished = Finished()
        for step in ACTION["runs"]["steps"]:
            if "run" in step and _wanted(step.get("if", ""), given):
                code = self._step(step, given, finished)
                finished.codes[step["name"]] = code
                if code:
                    break
        return finished

    def _step(self, step: Mapping[str, Any], inputs: Mapping[str, str], finished: Finished) -> int:
        files = {name: self.temp / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV")}
        for file in files.values():
            file.write_text("")
        script = self.temp / "script.sh"
        script.write_text(step["run"])
        environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.temp),
            "OMP_NUM_THREADS": "1",
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self.temp),
            **{name: str(file) for name, file in files.items()},
            **{name: INPUT.sub(lambda found: inputs[found[1]], value) for name, value in step.get("env", {}).items()},
        }
        # As GitHub calls `shell: bash`.
        command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)]
        done = subprocess.run(
            command, cwd=self.workspace, env=environment, capture_output=True, text=True, check=False, timeout=500
        )
        pairs = (row.partition("=") for row in files["GITHUB_OUTPUT"].read_text().splitlines())
        finished.outputs |= {name: value for name, _, value in pairs}
        finished.log += done.stdout + done.stderr
        finished.summary += files["GITHUB_STEP_SUMMARY"].read_text()
        return done.returncode


def _wanted(condition: str, inputs: Mapping[str, str]) -> bool:
    """Conditions of shell steps compare one input with one text."""
    if not condition:
        return True
    found = re.fullmatch(r"inputs\.([\w-]+) == '(\w+)'", condition)
    assert found, condition
    return inputs[found[1]] == found[2]
