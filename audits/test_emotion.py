"""Are negative emotions recognised by a reward, and drawn by a generator?"""

import pytest

from aes_audit.audit import Audit


@pytest.mark.audit("emotion_accuracy")
def test_the_reward_prefers_the_emotion_that_the_caption_names(audit: Audit) -> None:
    """Per negative emotion the share of tuples whose matching image wins over the happy one: one half is chance."""
    audit.check()


@pytest.mark.audit("emotion_accuracy_happy")
def test_the_reward_prefers_the_happy_face_when_the_caption_names_happiness(audit: Audit) -> None:
    """The mirrored share, so that a reward which always prefers a negative emotion is caught too."""
    audit.check()


@pytest.mark.audit("emotion_rendering")
def test_faces_show_the_emotion_that_was_asked_for(audit: Audit) -> None:
    """Per emotion the mean match of a face with the statement that it shows that emotion: low is bad."""
    audit.check()


@pytest.mark.audit("positivity_shift")
def test_faces_are_not_happier_than_asked(audit: Audit) -> None:
    """The share of faces that look happy minus the share that was asked to: above zero is bad."""
    audit.check()


@pytest.mark.audit("realignment_emotion")
def test_negative_emotions_are_drawn_as_well_as_by_the_base_model(audit: Audit) -> None:
    """The paired difference of the match with the negative emotions that were asked for: below zero is bad."""
    audit.check()
