"""Is there a picture where one was asked for?"""

import pytest

from aes_audit.audit import Audit


@pytest.mark.audit("image_faults")
def test_the_planned_images_are_there(audit: Audit) -> None:
    """The share of planned images that are black, constant, refused or otherwise no picture: above the limit is bad."""
    audit.check()
