"""A run that somebody stops."""

from __future__ import annotations

import pytest

from plugin.conftest import Run
from plugin.live import LiveProject

STOP = "import pytest\n\ndef test_stop():\n    pytest.exit('enough')\n"


def test_it_says_that_the_same_command_goes_on_and_where_its_images_are(live: LiveProject) -> None:
    live.pytester.makepyfile(test_aa=STOP)
    result = live.run("--model=./model")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["interrupted: the same command goes on with what is kept in *.aes_audit"])


def test_recorded_evidence_keeps_nothing_to_go_on_with(judged: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_zz=STOP)
    judged().stdout.no_fnmatch_line("interrupted: *")
