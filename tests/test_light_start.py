"""Starting is light: what only reads options, plans or recorded numbers imports no model library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from plugin.recorded import rows_of, write_evidence

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "transformers", "diffusers", "tokenizers")
SCRIPT = """
import sys, pytest
code = pytest.main(sys.argv[1:])
print("loaded:", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def _loaded(*arguments: str) -> tuple[set[str], str]:
    command = [sys.executable, "-c", SCRIPT, *arguments, "-p", "no:cacheprovider"]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return set(output.rpartition("loaded:")[2].split()), output


@pytest.mark.parametrize("arguments", [("--help",), ("--audit-plan", "audits/")])
def test_help_and_planning_import_no_model_library(arguments: tuple[str, ...], tmp_path: Path) -> None:
    loaded, output = _loaded(*arguments, f"--audit-store={tmp_path}")
    assert "aes_audit" in loaded
    assert "--base-model" in output or "control/faithful" in output
    assert loaded.isdisjoint(HEAVY)


def test_help_does_not_even_import_pandas_or_scipy_or_clients_of_object_storage() -> None:
    loaded, _ = _loaded("--help")
    assert loaded.isdisjoint({"pandas", "scipy", "pyarrow", "huggingface_hub", "fsspec", "s3fs", "gcsfs", "botocore"})


def test_judging_recorded_evidence_imports_no_model_library(tmp_path: Path) -> None:
    table = write_evidence(tmp_path / "table.csv", rows_of("a", success=0.9, shift=-1.0))
    loaded, output = _loaded("audits/", f"--evidence={table}", "-q")
    assert " measurements: " in output
    assert loaded.isdisjoint(HEAVY)


def test_loading_a_reward_imports_no_pipelines() -> None:
    script = """
import sys
from aes_audit.rewards.registry import resolve_reward
resolve_reward("control/clip", device="cpu").load()
print("transformers" in sys.modules, "diffusers" in sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said == "True False\n"
