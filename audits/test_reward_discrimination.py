"""Can a reward tell the image that a wide prompt asked for, or does it always prefer the conventional one?"""

import pytest

from aes_audit.audit import Audit


@pytest.mark.audit("reward_auroc")
def test_the_reward_ranks_the_better_following_image_higher(audit: Audit) -> None:
    """AUROC of r(I_a, p_a) - r(I_o, p_a) against a preference judge: below one half the reward is misleading."""
    audit.check()


@pytest.mark.audit("reward_accuracy")
def test_the_reward_picks_the_better_following_image(audit: Audit) -> None:
    """The share of pairs, ties of the judge dropped, where reward and judge prefer the same image."""
    audit.check()


@pytest.mark.audit("reward_balanced_accuracy")
def test_the_reward_picks_the_better_following_image_in_both_classes(audit: Audit) -> None:
    """The same with both answers of the judge weighing equally: always saying one thing scores one half."""
    audit.check()


@pytest.mark.audit("reward_f1")
def test_the_reward_finds_the_wide_images_that_follow(audit: Audit) -> None:
    """Binary F1 with the wide image as the positive class."""
    audit.check()


@pytest.mark.audit("prefers_wide")
def test_the_reward_prefers_the_wide_image_under_the_wide_prompt(audit: Audit) -> None:
    """The share of pairs with r(I_a, p_a) > r(I_o, p_a); needs no judge."""
    audit.check()
