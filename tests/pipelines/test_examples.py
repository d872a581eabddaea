"""The examples of the documentation: valid where they will be read, and their commands run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from check_jsonschema import main as check_jsonschema  # type: ignore[import-untyped]
from click.testing import CliRunner, Result
from pipelines.runner import ACTION, ROOT
from plugin.recorded import rows_of, write_evidence, write_thresholds

EXAMPLES = ROOT / "docs" / "examples"
WORKFLOWS = [*sorted((ROOT / ".github" / "workflows").glob("*.yml")), EXAMPLES / "github.yml"]
SCHEMAS = [
    *((file, "vendor.github-workflows") for file in WORKFLOWS),
    (ROOT / "action.yml", "vendor.github-actions"),
    (EXAMPLES / "gitlab-ci.yml", "vendor.gitlab-ci"),
]


def checked(schema: str, *files: Path) -> Result:
    """The published JSON schemas of GitHub's and GitLab's files, as check-jsonschema brings them along."""
    return CliRunner().invoke(check_jsonschema, [f"--builtin-schema={schema}", *map(str, files)])


@pytest.mark.parametrize("schema", sorted({schema for _, schema in SCHEMAS}))
def test_files_follow_their_published_schema(schema: str) -> None:
    done = checked(schema, *(file for file, name in SCHEMAS if name == schema))
    assert done.exit_code == 0, done.output


def test_the_schema_check_would_see_a_fault(tmp_path: Path) -> None:
    broken = tmp_path / "github.yml"
    broken.write_text((EXAMPLES / "github.yml").read_text().replace("runs-on:", "run-on:"))
    assert checked("vendor.github-workflows", broken).exit_code == 1


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="actionlint is not installed; the schemas are checked")
def test_actionlint_finds_nothing() -> None:
    done = subprocess.run(["actionlint", *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def steps(file: Path) -> list[Any]:
    """Every step of a workflow."""
    return [step for job in yaml.safe_load(file.read_text())["jobs"].values() for step in job["steps"]]


def test_the_example_gives_the_action_inputs_that_it_has_and_takes_outputs_that_it_has() -> None:
    (used,) = (step for step in steps(EXAMPLES / "github.yml") if "aes_audit" in step.get("uses", ""))
    assert set(used["with"]) <= set(ACTION["inputs"])
    text = (EXAMPLES / "github.yml").read_text()
    assert {name for name in ACTION["outputs"] if f"steps.audit.outputs.{name} }}}}" in text} == set(ACTION["outputs"])


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_no_workflow_writes_an_expression_into_a_script(file: Path) -> None:
    assert all("${{" not in step.get("run", "") for step in steps(file))


def test_gitlab_runs_the_plain_script_and_keeps_what_it_writes() -> None:
    job = yaml.safe_load((EXAMPLES / "gitlab-ci.yml").read_text())["audit"]
    script = (EXAMPLES / "audit.sh").read_text()
    assert job["script"][-1] == "bash audit.sh"
    assert {name for name in job["variables"] if name != "AES_AUDIT_SOURCE"} <= {
        word.partition(":")[0].strip("${}") for word in script.replace("$", " ").replace('"', " ").split()
    }
    assert job["artifacts"]["reports"]["junit"] == "aes-audit-report.xml"
    assert job["artifacts"]["when"] == job["cache"]["when"] == "always"


@pytest.mark.heavy
@pytest.mark.parametrize(("success", "code", "verdict"), [(0.9, 0, "pass"), (0.2, 1, "fail")])
def test_the_plain_script_ends_as_the_audit_does(tmp_path: Path, success: float, code: int, verdict: str) -> None:
    write_thresholds(tmp_path)
    audit = "import pytest\n\n@pytest.mark.audit('success_rate')\ndef test_it(audit):\n    audit.check()\n"
    (tmp_path / "audits" / "test_success_rate.py").write_text(audit)
    write_evidence(tmp_path / "table.csv", rows_of("a", success=success, shift=0.0))
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", str(EXAMPLES / "audit.sh"), "--evidence=table.csv"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"verdict: {verdict}"
    assert (tmp_path / "aes-audit-report" / "index.html").is_file()
