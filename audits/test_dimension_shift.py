"""Do the aesthetic dimensions move to the low end when the prompt asks for it?"""

import pytest

from aes_audit.audit import Audit


@pytest.mark.audit("dimension_shift")
def test_selected_dimensions_move_down(audit: Audit) -> None:
    """The mean change of the judge's score summed over the dimensions that the prompt selected: near zero is bad."""
    audit.check()


@pytest.mark.audit("dimension_shift_all")
def test_all_dimensions_together(audit: Audit) -> None:
    """The same over all dimensions: the reading that includes effects nobody asked for."""
    audit.check()
