"""Keys: equal exactly for equal identities, and the same in every process and year."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes_audit.evidence.keys import canonical, digest, image_key, item_seed, score_key

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
NUMBER = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
LEAF = st.none() | st.booleans() | NUMBER | TEXT
VALUE = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
IDENTITY = st.dictionaries(TEXT, VALUE, max_size=4)


def typed(value: Any) -> Any:
    """A value that compares as JSON does: 1, 1.0 and true differ, lists and tuples do not."""
    if isinstance(value, dict):
        return {key: typed(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [typed(part) for part in value]
    return (type(value).__name__, repr(value))


@given(IDENTITY, IDENTITY)
def test_two_identities_share_a_digest_exactly_when_they_are_equal(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert (digest(one) == digest(two)) == (typed(one) == typed(two))


@given(IDENTITY)
def test_the_order_of_fields_does_not_matter(identity: dict[str, Any]) -> None:
    assert digest(dict(reversed(identity.items()))) == digest(identity)


@given(IDENTITY, TEXT, LEAF)
def test_any_added_or_changed_field_changes_the_digest(identity: dict[str, Any], field: str, value: Any) -> None:
    changed = {**identity, field: value}
    assert (digest(changed) == digest(identity)) == (field in identity and typed(identity[field]) == typed(value))
    assert digest({"outer": identity}) != digest(identity)


@given(IDENTITY)
def test_the_canonical_text_is_json_that_reads_back(identity: dict[str, Any]) -> None:
    assert typed(json.loads(canonical(identity))) == typed(identity)


@given(TEXT, TEXT, st.integers(0, 2**63), st.integers(0, 2**63))
def test_an_image_has_its_own_key_per_text_and_seed(text: str, other: str, seed: int, another: int) -> None:
    generator = {"model": "flux-dev", "commit": "ab12"}
    same = (text, seed) == (other, another)
    assert (image_key(generator, text, seed) == image_key(generator, other, another)) == same
    assert image_key(generator, text, seed) != image_key({**generator, "commit": "ab13"}, text, seed)


@given(st.lists(TEXT | st.none(), max_size=3), st.lists(TEXT | st.none(), max_size=3))
def test_answers_have_their_own_key_per_list_of_queries(one: list[str | None], two: list[str | None]) -> None:
    keys = [score_key({"scorer": "hpsv3"}, "ab" * 32, queries) for queries in (one, two)]
    assert (keys[0] == keys[1]) == (one == two)
    assert score_key({"scorer": "hpsv3"}, "ab" * 32, tuple(one)) == keys[0]
    assert score_key({"scorer": "hpsv2"}, "ab" * 32, one) != keys[0]
    assert score_key({"scorer": "hpsv3"}, "cd" * 32, one) != keys[0]


def test_nothing_leaks_over_the_border_of_two_fields() -> None:
    assert digest({"a": "1,b:2"}) != digest({"a": "1", "b": "2"})
    assert digest({"a": ["x", "y"]}) != digest({"a": ["x,y"]})
    assert digest({"a": '","b":"'}) != digest({"a": "", "b": ""})
    assert score_key({}, "ab", ["x", "y"]) != score_key({}, "ab", ["xy"])
    assert item_seed("a", "bc") != item_seed("ab", "c")


def test_composed_and_decomposed_letters_are_different_texts() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert image_key({}, composed, 0) != image_key({}, decomposed, 0)


def test_numbers_keep_their_type() -> None:
    digests = {digest({"steps": value}) for value in (1, 1.0, True, "1", "1.0", None, 0, 0.0, -0.0, False)}
    assert len(digests) == 10


def test_tuples_are_lists_and_any_mapping_is_one() -> None:
    assert digest({"size": (64, 64)}) == digest({"size": [64, 64]})
    # A float64 is a float; the other scalars of numpy are nothing that JSON knows.
    assert digest({"guidance": np.float64(3.5)}) == digest({"guidance": 3.5})


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -float("inf"), b"x", {1, 2}, date(2026, 1, 1), {1: "x"}, {None: 1}, range(2),
     np.float32(1), np.int64(1), np.zeros(2), "\ud800", "\ud83d\ude00", [float("nan")], {"x": {"y": float("inf")}}],
    ids=repr,
)  # fmt: skip
def test_what_json_cannot_hold_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match="JSON cannot hold"):
        digest({"field": value})


def test_keys_stay_the_same_over_versions_and_processes() -> None:
    # Written by hand: a changed spelling would orphan every stored image.
    identity = {"b": [1, 2.5, None, True], "a": "é"}
    expected = hashlib.sha256('{"a":"é","b":[1,2.5,null,true]}'.encode()).hexdigest()
    assert digest(identity) == expected
    image = hashlib.sha256(b'{"generator":{"m":"x"},"image":1,"seed":7,"text":"t"}').hexdigest()
    assert image_key({"m": "x"}, "t", 7) == image
    script = "from aes_audit.evidence.keys import item_seed; print(item_seed('coco', '12'))"
    told = {
        subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed},
                       capture_output=True, text=True, check=True).stdout.strip()
        for seed in ("1", "2")
    }  # fmt: skip
    assert told == {str(item_seed("coco", "12"))}


def test_only_a_repeat_has_other_seeds_than_an_ordinary_run() -> None:
    ordinary = hashlib.sha256(b'{"item":"12","prompt_set":"coco","seed":1}').hexdigest()
    assert item_seed("coco", "12") == item_seed("coco", "12", 0) == int(ordinary[:16], 16) >> 1
    assert len({item_seed("coco", "12", repeat) for repeat in range(50)}) == 50


@given(TEXT, TEXT)
def test_seeds_have_63_bits(prompt_set: str, item: str) -> None:
    assert 0 <= item_seed(prompt_set, item) < 2**63


def test_seeds_of_many_items_are_distinct_and_use_all_bits() -> None:
    seeds = [item_seed("coco", str(number)) for number in range(2000)]
    assert len(set(seeds)) == 2000
    assert np.mean(np.array(seeds) / 2**63) == pytest.approx(0.5, abs=0.03)
    assert np.bitwise_or.reduce(seeds) == 2**63 - 1
