"""A project that audits tiny random models for real: drawn, scored and judged by the ordinary code."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from plugin.recorded import write_audits, write_thresholds

CONFTEST = """
from pathlib import Path

from aes_audit.judges.preference import MatcherPreference
from aes_audit.judges.registry import JUDGES, PREFERENCES
from aes_audit.rewards.registry import REWARDS, ClipEntry
from aes_audit.weights.source import Source

HERE = Path(__file__).parent
REWARDS["tiny/clip"] = ClipEntry(Source(folder=HERE / "clip"), scaled=True)
JUDGES["tiny/judge"] = Source(folder=HERE / "judge")
PREFERENCES["preference/tiny"] = MatcherPreference("preference/tiny", matcher="tiny/clip")
"""

THRESHOLDS = """
schema = 1
[profiles.tiny]
prompts = "control_pairs"
pairs = 5
models = ["./model"]
rewards = []
pool = []
quality = ["tiny/clip"]
matcher = "tiny/clip"
judge = "tiny/judge"
preferences = ["preference/tiny"]
truth = "preference/tiny"
[[gates]]
profile = "tiny"
metric = "quality_shift"
kind = "contractual"
at_most = 1000
tolerance = 0.001
"""
"""A promise that holds for any model: these tests are about its baseline."""

FILE = Path("baselines/.-model/quality_shift.json")


class LiveProject:
    """A folder with a model, its instruments, one audit, and a store of its own."""

    def __init__(self, pytester: pytest.Pytester, pipeline: Path, clip: Path, judge: Path) -> None:
        self.pytester = pytester
        self.root = pytester.path
        for name, folder in (("model", pipeline), ("clip", clip), ("judge", judge)):
            shutil.copytree(folder, self.root / name)
        pytester.makeconftest(CONFTEST)
        write_audits(pytester, "quality_shift")
        write_thresholds(self.root, THRESHOLDS)

    def run(self, *options: str) -> pytest.RunResult:
        """One run, in this process; random weights would not pass as a healthy reward."""
        common = ("--profile=tiny", "--audit-device=cpu", "--audit-health=off", "-p", "no:cacheprovider")
        return self.pytester.runpytest(*common, *options, syspathinsert=True)
