"""Does a reward find real art worse than what generators make?"""

import pytest

from aes_audit.audit import Audit


@pytest.mark.audit("art_z")
def test_real_art_is_not_ranked_far_below_generated_images(audit: Audit) -> None:
    """The mean of (score - mean) / SD of a reference population of generated originals: low is bad."""
    audit.check()
