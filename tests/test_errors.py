"""The error tree: drawn as it is, and names answered with a guess."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes_audit import errors
from aes_audit.errors import AesAuditError, UnknownName, UsageError


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    drawn: dict[str, str | None] = {}
    path: list[tuple[int, str]] = []
    for indent, name in re.findall(r"^( *)[*x+-] (\w+)", errors.__doc__ or "", flags=re.MULTILINE):
        path = [(depth, parent) for depth, parent in path if depth < len(indent)]
        drawn[name] = path[-1][1] if path else None
        path.append((len(indent), name))
    classes = {name: vars(errors)[name] for name in errors.__all__}
    parents = {name: cls.__base__.__name__ for name, cls in classes.items()}
    assert drawn == {**parents, "AesAuditError": None}


def test_every_error_can_be_caught_as_one() -> None:
    assert all(issubclass(vars(errors)[name], AesAuditError) for name in errors.__all__)


def test_an_unknown_name_lists_what_exists_in_order_and_guesses_the_nearest() -> None:
    error = UnknownName("reward", "hpsv", ["imagereward", "hpsv3", "clip"], "Or write your own.")
    expected = "unknown reward 'hpsv'. Did you mean 'hpsv3'? Known: clip, hpsv3, imagereward. Or write your own."
    assert str(error) == expected


def test_a_name_like_no_other_is_not_guessed() -> None:
    assert str(UnknownName("profile", "zzz", ["control"])) == "unknown profile 'zzz'. Known: control."


def test_where_nothing_exists_that_is_said() -> None:
    assert str(UnknownName("model", "a", [])) == "unknown model 'a'. Known: none."


@given(name=st.text(), known=st.lists(st.sampled_from(["flux-dev", "control/clip", "hpsv3"])))
def test_whatever_was_typed_the_message_is_one_line(name: str, known: list[str]) -> None:
    error = UnknownName("model", name, known)
    assert len(str(error).splitlines()) == 1
    with pytest.raises(UsageError):
        raise error
