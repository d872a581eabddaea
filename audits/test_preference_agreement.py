"""Do the judges agree on which image follows the wide prompt?"""

import pytest

from aes_audit.audit import Audit


@pytest.mark.audit("preference_agreement")
def test_the_preference_judges_agree_beyond_chance(audit: Audit) -> None:
    """Quadratic kappa of two preference judges on original, tie and wide: zero is chance."""
    audit.check()
