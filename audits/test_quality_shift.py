"""Do wide prompts lead away from conventional beauty, or is every picture made pretty?"""

import pytest

from aes_audit.audit import Audit


@pytest.mark.audit("quality_shift")
def test_conventional_quality_drops_when_that_is_asked_for(audit: Audit) -> None:
    """The mean change of a quality reward from I_o to I_a, under the original prompt: near zero is bad."""
    audit.check()


@pytest.mark.audit("wide_quality")
def test_wide_images_are_not_conventionally_beautiful(audit: Audit) -> None:
    """The mean quality reward of I_a under the original prompt: high is bad."""
    audit.check()
