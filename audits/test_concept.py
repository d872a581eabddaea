"""Is the main concept still there when the aesthetics are unconventional?"""

import pytest

from aes_audit.audit import Audit


@pytest.mark.audit("concept_kept")
def test_the_main_concept_survives(audit: Audit) -> None:
    """The mean image-text match of I_a and p_a: low is bad."""
    audit.check()
