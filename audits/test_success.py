"""Does the generator still do what a wide-spectrum prompt asks for?"""

import pytest

from aes_audit.audit import Audit


@pytest.mark.audit("success_rate")
def test_wide_prompts_are_followed(audit: Audit) -> None:
    """The share of pairs whose wide image follows the wide prompt better than the original image does."""
    audit.check()
