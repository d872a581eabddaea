"""Does an editor beautify a picture that is already what was asked for?"""

import pytest

from aes_audit.audit import Audit


@pytest.mark.audit("edit_shift")
def test_editing_does_not_beautify(audit: Audit) -> None:
    """The mean change of a score from the source to the edited image: high is bad."""
    audit.check()
