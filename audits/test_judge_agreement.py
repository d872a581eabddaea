"""Does the judge of dimensions agree with people?"""

import pytest

from aes_audit.audit import Audit


@pytest.mark.audit("judge_agreement_accuracy")
def test_the_judge_gives_the_class_that_people_gave(audit: Audit) -> None:
    """The share of ratings whose nearest class is the one people gave, beside always the commonest class."""
    audit.check()


@pytest.mark.audit("judge_agreement_mae")
def test_the_judge_is_close_to_people(audit: Audit) -> None:
    """The mean absolute error of J against the class that people gave, in classes."""
    audit.check()


@pytest.mark.audit("judge_agreement_weighted_mae")
def test_the_judge_is_close_to_people_in_rare_classes(audit: Audit) -> None:
    """The same with inverse class frequencies as weights."""
    audit.check()


@pytest.mark.audit("judge_agreement_weighted_f1")
def test_the_judge_finds_the_classes_that_people_gave(audit: Audit) -> None:
    """F1 of the nearest class, weighted by support."""
    audit.check()


@pytest.mark.audit("judge_agreement_quadratic_kappa")
def test_the_judge_agrees_with_people_beyond_chance(audit: Audit) -> None:
    """Quadratic kappa of the nearest class: zero is chance."""
    audit.check()
