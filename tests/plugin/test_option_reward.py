"""--reward: which reward models are audited."""

from __future__ import annotations

import json

import pytest
from parity.recipe import read_pack, write_checkpoint

from plugin.conftest import Run
from plugin.live import LiveProject
from plugin.recorded import write_audits, write_thresholds


def test_naming_a_reward_audits_the_reward_and_no_generator(judged: Run, pytester: pytest.Pytester) -> None:
    write_audits(pytester, "prefers_wide")
    result = judged("--reward=quality")
    result.assert_outcomes(passed=3, skipped=1)
    result.stdout.fnmatch_lines(["quality*prefers_wide*advisory"])


def test_a_mistyped_reward_is_a_usage_error_that_lists_what_exists(pytester: pytest.Pytester) -> None:
    write_audits(pytester, "prefers_wide")
    result = pytester.runpytest("--reward=control/clap")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: unknown reward 'control/clap'. Did you mean 'control/clip'? Known: *"])


def test_a_reward_given_by_path_is_audited_under_its_name(live: LiveProject) -> None:
    write_checkpoint(read_pack("clip"), live.root / "weights")
    write_audits(live.pytester, "prefers_wide")
    tiny = live.root / "audits" / "thresholds.toml"
    write_thresholds(live.root, tiny.read_text().replace("pool = []", 'pool = ["./model"]'))
    result = live.run("--reward=clip-l[output=logits]=weights", "--audit-json=out.json", "-k", "prefers_wide")
    assert result.ret == pytest.ExitCode.OK
    (found,) = json.loads((live.root / "out.json").read_text())["measurements"]
    assert (found["scorer"], found["n"]) == ("clip-l[output=logits]", 5)


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("mps", "*mps=PATH*"),
        ("clip-l=nowhere", "*nowhere*"),
        ("clip-l[recip=hf]", "*unknown option of clip-l 'recip'. Did you mean 'recipe'?*"),
        ("hpsv2.1[antialias=maybe]", "*antialias is one of true, false, not 'maybe'*"),
    ],
)
def test_a_reward_that_cannot_be_is_a_usage_error_before_anything_is_drawn(
    live: LiveProject, spec: str, complaint: str
) -> None:
    result = live.run(f"--reward={spec}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {complaint}"])
    assert not list((live.root / ".aes_audit").rglob("*.png"))
