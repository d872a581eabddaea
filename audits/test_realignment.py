"""What did the alignment change, pair by pair, against the base model?"""

import pytest

from aes_audit.audit import Audit


@pytest.mark.audit("realignment_quality")
def test_wide_images_are_no_prettier_than_the_base_models(audit: Audit) -> None:
    """Paired Wilcoxon test of the quality reward of I_a under p_o: negative effect_r means prettier than the base."""
    audit.check()


@pytest.mark.audit("realignment_success")
def test_wide_prompts_are_followed_as_often_as_by_the_base_model(audit: Audit) -> None:
    """Exact McNemar test of the paired successes: the difference of the success rates, aligned minus base."""
    audit.check()
