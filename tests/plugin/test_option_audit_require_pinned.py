"""--audit-require-pinned: nothing is measured with weights that may be others tomorrow."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from weights.hub_server import COMMIT, Hub, serving, turn_client

from plugin.live import LiveProject
from plugin.recorded import write_audits

ADAPTER = "jieliu/SD3.5M-FlowGRPO-PickScore"
LOOKED_UP = (
    ADAPTER,
    "black-forest-labs/FLUX.1-dev",
    "CodeGoat24/FLUX.1-dev-PrefGRPO",
    "openai/clip-vit-large-patch14",
    "xzyhku/flux_hpsv2.1_dancegrpo",
)


@pytest.fixture
def hub(live: LiveProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with the project's model and a few repositories that are only looked up."""
    upload = Path(shutil.copytree(live.root / "model", tmp_path / "upload"))
    (upload / "aes_audit.json").unlink()
    empty = tmp_path / "empty"
    empty.mkdir()
    with serving(Hub(repos={"tiny/model": upload, **dict.fromkeys(LOOKED_UP, empty)})) as hub:
        turn_client(monkeypatch, hub.url, tmp_path / "hf")
        yield hub


def complaint(result: pytest.RunResult) -> str:
    """The one line of a usage error."""
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = (line for line in result.errlines if line.strip())
    return line


def test_every_floating_name_is_refused_in_one_line_that_says_what_to_write(live: LiveProject, hub: Hub) -> None:
    names = ["tiny/model", "pref-flux[steps=9]+negative=a, b", "dance-flux@main", "sd3.5m-pickscore", "./model"]
    models = [f"--model={name}" for name in names]
    said = complaint(live.run("--collect-only", "--audit-require-pinned", "--reward=clip-l[output=logits]", *models))
    assert said == (
        "ERROR: --audit-require-pinned refuses revisions that may change: "
        f"write 'tiny/model@{COMMIT}' for 'tiny/model', "
        f"'pref-flux@{COMMIT}[steps=9]+negative=a, b' for 'pref-flux[steps=9]+negative=a, b', "
        f"'dance-flux@{COMMIT}+transformer=xzyhku/flux_hpsv2.1_dancegrpo/checkpoint-ema-300-0/"
        f"diffusion_pytorch_model.safetensors@{COMMIT}' for 'dance-flux@main', "
        f"'sd3.5m-pickscore+lora={ADAPTER}@{COMMIT}' for 'sd3.5m-pickscore', "
        f"'clip-l[output=logits]@{COMMIT}' for 'clip-l[output=logits]'."
    )


def test_what_it_says_to_write_is_taken_and_means_the_same_model(live: LiveProject, hub: Hub) -> None:
    written = [
        f"--model=tiny/model@{COMMIT}+lora={ADAPTER}@{COMMIT}",
        f"--model=sd3.5m-pickscore+lora={ADAPTER}@{COMMIT}",
        f"--reward=clip-l@{COMMIT}",
    ]
    result = live.run("--collect-only", "--audit-require-pinned", *written)
    assert result.ret == pytest.ExitCode.OK
    # One adapter, not two of the same.
    result.stdout.fnmatch_lines([f"*sd3.5m-pickscore+lora={ADAPTER}@{COMMIT} (b940f670f0ed+{COMMIT[:12]})*"])


def test_without_it_a_branch_is_resolved_once_and_its_commit_recorded(live: LiveProject, hub: Hub) -> None:
    result = live.run("--model=tiny/model@v1", "-k", "nothing", "--audit-json=out.json")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    recorded = json.loads((live.root / "out.json").read_text())["run"]["models"]["tiny/model@v1"]
    assert recorded["identity"]["weights"] == {"repo": "tiny/model", "revision": COMMIT}
    result.stdout.fnmatch_lines([f"*generators: *tiny/model@v1 ({COMMIT[:12]})*"])
    assert len([request for request in hub.requests if "tiny/model" in request]) == 1


def test_the_ini_twin_is_overruled_by_the_flag(live: LiveProject, hub: Hub) -> None:
    live.pytester.makeini("[pytest]\naudit_require_pinned = on")
    assert "refuses revisions that may change" in complaint(live.run("--collect-only", "--model=tiny/model"))
    assert live.run("--collect-only", "--model=tiny/model", "--audit-require-pinned=off").ret == pytest.ExitCode.OK


def test_the_flag_alone_before_a_path_says_how_to_write_it(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--audit-require-pinned", "audits")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*invalid value 'audits': choose on, off; before a path write *=on*"])


def test_a_hosted_model_passes_with_a_warning(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "not asked in this run")
    write_audits(pytester, "success_rate")
    result = pytester.runpytest("--collect-only", "--model=nano-banana", "--audit-require-pinned")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["  warning: nano-banana: hosted, so that no revision can be pinned."])
