"""The guideline: classes, questions, files of one's own, and the digest that tells two apart."""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path

import pytest

from aes_audit.errors import UnknownName, UsageError
from aes_audit.judges.guideline import (
    GUIDELINE_KEYS,
    Guideline,
    note_guideline,
    question,
    rating_class,
    trained_guideline,
)
from aes_audit.prompts.dimensions import DIMENSIONS

# Lowest and highest level of each dimension in the VisionReward annotations, as their data card says.
RANGES = {
    "background": (-1, 2), "clarity": (-2, 2), "color aesthetic": (-1, 1), "color brightness": (-1, 1),
    "detail realism": (-3, 1), "detail refinement": (-4, 2), "emotion": (-2, 2), "lighting distinction": (-1, 2),
    "main object": (-1, 1), "object pairing": (-1, 1), "richness": (-2, 2), "symmetry": (-1, 1),
    "lighting aesthetic": (-1, 2), "body": (-4, 1), "face": (-3, 2), "hands": (-4, 1), "safety": (-3, 1),
    "unsafe type": (0, 3),
}  # fmt: skip

TOML = '[clarity]\nlevels = [[1, "Good", "Crisp."], [0, "Fair", "So so."], [-1, "Poor", "It\'s a blur."]]\n'
CSV = (
    "Dimension,Score,Option,Description\n"
    'Overall Clarity (clarity),1,Good,"Crisp."\n'
    ",0,Fair,So so.\n"
    ",-1,Poor,It's a blur.\n"
)
ASKED = (
    "Please rate this image for its clarity quality. Use this guideline {'Good: 2': ': Crisp.', 'Fair: 1': ': So so.', "
    "'Poor: 0': \": It's a blur.\"}. Response a single number."
)


def written(folder: Path, name: str, text: str) -> Guideline:
    (folder / name).write_text(text, encoding="utf-8")
    return Guideline.read(folder / name)


def test_the_shipped_guideline_has_every_dimension_with_all_its_levels() -> None:
    guideline = Guideline.read()
    assert tuple(guideline.levels) == GUIDELINE_KEYS
    assert GUIDELINE_KEYS[:11] == DIMENSIONS
    found = {name: [level.rating for level in levels] for name, levels in guideline.levels.items()}
    assert found == {name: list(range(high, low - 1, -1)) for name, (low, high) in RANGES.items()}


def test_the_levels_of_prompts_dimensions_reach_every_class() -> None:
    guideline = Guideline.read()
    for name in DIMENSIONS:
        assert {rating_class(level.rating) for level in guideline.levels[name]} == {0, 1, 2}, name


@pytest.mark.parametrize(("rating", "found"), [(-4, 0), (-1, 0), (0, 1), (1, 2), (3, 2)])
def test_the_class_of_a_rating_is_its_sign_plus_one(rating: int, found: int) -> None:
    assert rating_class(rating) == found


@pytest.mark.parametrize("dimension", GUIDELINE_KEYS)
def test_a_question_prints_levels_and_classes_as_a_python_mapping(dimension: str) -> None:
    guideline = Guideline.read()
    opening, _, rest = question(dimension, guideline).partition(" Use this guideline ")
    assert opening == f"Please rate this image for its {dimension} quality."
    mapping, _, closing = rest.rpartition(". ")
    assert closing == "Response a single number."
    levels = guideline.levels[dimension]
    expected = {
        f"{level.option}: {0 if level.rating < 0 else 1 if level.rating == 0 else 2}": f": {level.description}"
        for level in levels
    }
    assert list(ast.literal_eval(mapping).items()) == list(expected.items())


@pytest.mark.parametrize(("name", "text"), [("mine.toml", TOML), ("mine.csv", CSV), ("mine.CSV", CSV)])
def test_a_file_of_ones_own_in_either_form_asks_the_same(tmp_path: Path, name: str, text: str) -> None:
    guideline = written(tmp_path, name, text)
    assert guideline.name == name
    assert question("clarity", guideline) == ASKED


def test_the_digest_is_that_of_the_questions_and_not_of_the_file(tmp_path: Path) -> None:
    toml, table = written(tmp_path, "a.toml", TOML), written(tmp_path, "b.csv", CSV.replace("\n", "\r\n"))
    expected = hashlib.sha256(json.dumps({"clarity": ASKED}).encode()).hexdigest()
    assert toml.digest == table.digest == expected
    assert toml.identity == table.identity == {"sha256": expected}
    for changed in (TOML.replace("Crisp", "crisp"), TOML.replace("Fair", "Even"), TOML.replace("-1,", "-2,")):
        other = written(tmp_path, "c.toml", changed)
        assert (other.digest == expected) == (question("clarity", other) == ASKED)
    assert written(tmp_path, "c.toml", TOML.replace("Crisp", "crisp")).digest != expected


def test_an_unknown_dimension_lists_what_the_guideline_has(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"^unknown dimension in the guideline 'beauty'.*clarity"):
        question("beauty", written(tmp_path, "a.toml", TOML))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "[clarity", "the guideline cannot be read"),
        ("a.toml", "", "the guideline holds no dimension"),
        ("a.toml", "clarity = 3", r"table 'clarity' needs levels = \[\[number, name, description\]"),
        ("a.toml", '[clarity]\nlevels = [[1, "Good"]]', "needs levels"),
        (
            "a.toml",
            '[clarity]\nlevels = [["1", "Good", "Crisp."], [0, "Fair", "So so."]]',
            "has a level that is no number",
        ),
        ("a.toml", '[clarity]\nlevels = [[1, "Good", " "], [0, "Fair", "So so."]]', "has a level that is no number"),
        ("a.toml", '[clarity]\nlevels = [[1, "Good", "Crisp."]]', "must be two or more, the highest first"),
        ("a.toml", '[clarity]\nlevels = [[0, "Fair", "So so."], [1, "Good", "Crisp."]]', r"found \[0, 1\]"),
        ("a.toml", '[clarity]\nlevels = [[1, "Good", "Crisp."], [0, "Good", "So so."]]', "have one name"),
        ("a.csv", "Dimension,Score,Option\nx,1,Good\n", "column 'Description' is missing"),
        ("a.csv", CSV.replace("Overall Clarity (clarity)", ""), "its first row names no dimension"),
        ("a.csv", CSV.replace(",-1,", ",low,"), "has a level that is no number, name and description: 'low'"),
        ("a.csv", CSV.replace("So so.", ""), "has a level that is no number"),
    ],
)
def test_a_broken_file_is_one_sentence_that_names_it(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=rf"{name}: [^\n]*{said}[^\n]*$"):
        written(tmp_path, name, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing\.toml: the guideline cannot be read"):
        Guideline.read(tmp_path / "nothing.toml")


def test_what_weights_were_trained_on_can_be_noted_beside_them(tmp_path: Path) -> None:
    assert trained_guideline(tmp_path) is None
    note_guideline(tmp_path, Guideline.read())
    assert trained_guideline(tmp_path) == Guideline.read().digest
    (tmp_path / "guideline.json").write_text("[]")
    assert trained_guideline(tmp_path) is None
