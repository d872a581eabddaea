"""What the writer is told: one low-end text for each dimension, choices filled in, and other files of that form."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from aes_audit.errors import InvalidPrompts
from aes_audit.prompts import instruction as module
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.prompts.instruction import ATTRIBUTE_WORDS, EXTRA_EFFECTS, Instruction, read_instruction
from aes_audit.prompts.lexicon import read_lexicon

SHIPPED = Path(module.__file__).with_name("instruction.toml").read_text(encoding="utf-8")


def read(path: Path | None = None, extra: str = "forbid", words: str = "free") -> Instruction:
    """With the usual choices."""
    return read_instruction(path, extra_effects=extra, attribute_words=words)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_what_is_asked_for_tells_a_reader_of_its_dimension_and_of_no_other(dimension: str) -> None:
    assert list(read_lexicon().signals(read().effects[dimension])) == [dimension]


def test_each_choice_is_another_text_with_another_digest() -> None:
    texts = [read(extra=extra, words=words) for extra, words in product(EXTRA_EFFECTS, ATTRIBUTE_WORDS)]
    assert len({text.request for text in texts}) == len({text.digest for text in texts}) == 4
    assert read().digest == read().digest


def test_a_caption_with_braces_stays_as_it_is() -> None:
    caption = "A sign says {effects} and {complaint} over {0} doors"
    _, user = read().messages(caption, ["clarity"], complaint="it has {count} words")
    assert caption in user["content"]
    assert "turned down: it has {count} words." in user["content"]


def test_effects_stand_one_per_line_in_the_order_given() -> None:
    effects = read().effects
    _, user = read().messages("A cat", ["emotion", "clarity"])
    assert f"effects:\n{effects['emotion']}\n{effects['clarity']}\n" in user["content"]


def test_a_file_of_ones_own_is_read_instead(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(SHIPPED.replace("You describe", "Du beschreibst"))
    assert read(tmp_path / "own.toml").system.startswith("Du beschreibst")
    assert read(tmp_path / "own.toml").digest != read().digest


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("system =", "sytem =", "'sytem' is unknown in the instruction"),
        ("emotion =", "emotions =", "'emotions' is unknown in table 'effects'"),
        ('system = "You describe pictures in words."', "", "'system' is missing from the instruction"),
        ("{caption}", "{Caption}", "'request' has no place for {caption}"),
        ("{count}", "some", "'complaints.length' has no place for {count}"),
        ('"You describe pictures in words."', "7", "'system' must be a text that is not empty, found 7"),
        ("[effects]", "[effects", "cannot be read"),
    ],
)
def test_a_broken_file_is_one_line_with_its_name(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in SHIPPED
    (tmp_path / "own.toml").write_text(SHIPPED.replace(old, new))
    with pytest.raises(InvalidPrompts) as raised:
        read(tmp_path / "own.toml")
    assert str(raised.value).startswith(f"{tmp_path / 'own.toml'}: ")
    assert complaint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_table_that_is_none_is_named(tmp_path: Path) -> None:
    head, _, _ = SHIPPED.partition("[effects]")
    (tmp_path / "own.toml").write_text(f'effects = "all"\n{head}')
    with pytest.raises(InvalidPrompts, match="'effects' must be a table, found 'all'"):
        read(tmp_path / "own.toml")
