"""Prompt pairs: what is read, what a digest stands for, and one line for every fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes_audit.errors import InvalidPrompts
from aes_audit.prompts.dimensions import DIMENSIONS, LEVELS
from aes_audit.prompts.pairs import PromptPair, PromptSet, read_prompt_set

GOOD = {"id": "p1", "original": "a cat", "wide": "a cat, blurred", "dimensions": ["clarity"]}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


def write(path: Path, *lines: object) -> Path:
    """Lines as they are, objects as JSON."""
    shown = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
    path.write_text("\n".join(shown) + "\n", encoding="utf-8")
    return path


def test_the_shipped_set_reads_and_is_long_enough_for_its_profile() -> None:
    prompts = read_prompt_set("control_pairs")
    assert prompts.name == "control_pairs"
    assert len(prompts.pairs) >= 100
    assert {name for pair in prompts.pairs for name in pair.dimensions} == set(DIMENSIONS)


def test_there_are_eleven_dimensions_in_alphabetical_order_with_three_levels() -> None:
    assert len(DIMENSIONS) == len(set(DIMENSIONS)) == 11
    assert list(DIMENSIONS) == sorted(DIMENSIONS)
    assert LEVELS == (0, 1, 2)


def test_a_pair_is_read_with_its_dimensions_in_the_protocols_order(tmp_path: Path) -> None:
    line = {**GOOD, "dimensions": ["richness", "clarity", "richness"], "note": "ignored"}
    prompts = read_prompt_set(str(write(tmp_path / "mine.jsonl", line)))
    assert prompts.name == "mine"
    assert prompts.pairs == (PromptPair("p1", "a cat", "a cat, blurred", ("clarity", "richness")),)


def test_byte_order_mark_windows_line_ends_and_empty_lines_do_not_matter(tmp_path: Path) -> None:
    plain = read_prompt_set(str(write(tmp_path / "a.jsonl", GOOD, {**GOOD, "id": "p2"})))
    other = tmp_path / "b.jsonl"
    lines = [json.dumps(GOOD), "", "  ", json.dumps({"note": 1, **GOOD, "id": "p2"}, indent=None)]
    other.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    assert read_prompt_set(str(other)).pairs == plain.pairs
    assert read_prompt_set(str(other)).digest == plain.digest


@given(texts=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4), ascii=st.booleans())
def test_any_text_survives_the_file(tmp_path_factory: pytest.TempPathFactory, texts: Any, ascii: bool) -> None:
    lines = [
        {
            "id": f"{number} {original}",
            "original": original,
            "wide": f"{wide} but wide {original}",
            "dimensions": ["emotion"],
        }
        for number, (original, wide) in enumerate(texts)
    ]
    path = tmp_path_factory.mktemp("prompts") / "p.jsonl"
    path.write_text("\n".join(json.dumps(line, ensure_ascii=ascii) for line in lines), encoding="utf-8", newline="\n")
    read = read_prompt_set(str(path)).pairs
    assert [(pair.id, pair.original, pair.wide) for pair in read] == [
        (line["id"], line["original"], line["wide"]) for line in lines
    ]


def test_the_first_pairs_have_a_digest_of_their_own(tmp_path: Path) -> None:
    lines = [{**GOOD, "id": f"p{number}"} for number in range(5)]
    prompts = read_prompt_set(str(write(tmp_path / "a.jsonl", *lines)))
    digests = {prompts.first(count).digest for count in range(1, 6)}
    assert len(digests) == 5
    assert prompts.first(5) == prompts.first(None) == prompts
    assert prompts.first(3) == read_prompt_set(str(write(tmp_path / "a.jsonl", *lines[:3])))


@pytest.mark.parametrize("count", [0, -1, 6])
def test_more_pairs_than_there_are_is_one_line_with_what_is_possible(tmp_path: Path, count: int) -> None:
    prompts = PromptSet("mine", (PromptPair("p", "a", "b", ("clarity",)),) * 5, "d")
    with pytest.raises(InvalidPrompts) as raised:
        prompts.first(count)
    expected = f"prompt set 'mine' holds 5 pairs, {count} were asked for: choose between 1 and 5."
    assert str(raised.value) == expected


@pytest.mark.parametrize("key", ["id", "original", "wide", "dimensions"])
def test_every_used_field_changes_the_digest(tmp_path: Path, key: str) -> None:
    changed = {**GOOD, key: ["emotion"] if key == "dimensions" else "something else"}
    before = read_prompt_set(str(write(tmp_path / "a.jsonl", GOOD))).digest
    assert read_prompt_set(str(write(tmp_path / "a.jsonl", changed))).digest != before


FAULTS = {
    "no JSON": ("{", "not JSON"),
    "an enormous number": (f'{{"id": {"1" * 5000}}}', "not JSON"),
    "a deep pit": ("[" * 100_000, "not JSON"),
    "a list": ([GOOD], "expected an object, found list"),
    "text": ('"p"', "expected an object, found str"),
    "no id": ({key: GOOD[key] for key in GOOD if key != "id"}, "key 'id' must be a non-empty string, found None"),
    "a number as id": ({**GOOD, "id": 7}, "key 'id' must be a non-empty string, found 7"),
    "an empty original": ({**GOOD, "original": " "}, "key 'original' must be a non-empty string, found ' '"),
    "a missing wide": ({**GOOD, "wide": None}, "key 'wide' must be a non-empty string, found None"),
    "an unchanged wide": ({**GOOD, "wide": " a cat "}, "the wide prompt equals the original"),
    "half a character": (json.dumps({**GOOD, "wide": "a cat \ud800"}), "key 'wide' holds half of a character"),
    "no dimensions": ({**GOOD, "dimensions": []}, "key 'dimensions' must be a non-empty list, found []"),
    "dimensions as text": ({**GOOD, "dimensions": "clarity"}, "key 'dimensions' must be a non-empty list"),
    "an unknown dimension": ({**GOOD, "dimensions": ["clarty"]}, "unknown dimension 'clarty'; known: background"),
    "a dimension that is a list": ({**GOOD, "dimensions": [["clarity"]]}, "unknown dimension ['clarity']"),
    "a repeated id": ({**GOOD, "id": "first"}, "id 'first' was used in line 1"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_with_file_and_line_number(tmp_path: Path, fault: str) -> None:
    line, complaint = FAULTS[fault]
    path = write(tmp_path / "p.jsonl", {**GOOD, "id": "first"}, "", line, {**GOOD, "id": "last"})
    with pytest.raises(InvalidPrompts) as raised:
        read_prompt_set(str(path))
    assert str(raised.value).startswith(f"{path}, line 3: {complaint}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"\n\n  \n", b"\xef\xbb\xbf"])
def test_a_file_without_pairs_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(content)
    with pytest.raises(InvalidPrompts, match=r"p\.jsonl: holds no prompt pair\.$"):
        read_prompt_set(str(path))


def test_a_set_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\xfe")
    for name in ("no_such_set", str(tmp_path / "absent.jsonl"), str(tmp_path / "bytes.jsonl")):
        with pytest.raises(InvalidPrompts, match=r"^prompt set '[^\n]+' cannot be read from [^\n]+$"):
            read_prompt_set(name)
