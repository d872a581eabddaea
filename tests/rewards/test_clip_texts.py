"""Texts for CLIP: cleaning, and what becomes of special tokens, odd characters and long texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from parity import vocabularies

from aes_audit.errors import InfrastructureError
from aes_audit.rewards.clip_texts import OPEN_CLIP_MARKS, ClipTexts, clean

SOT, EOT = 49406, 49407


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CLIP's vocabulary, as files of the hub hold it."""
    made = tmp_path_factory.mktemp("tokenizer")
    vocabularies.write_clip(made)
    return made


@pytest.fixture(scope="module")
def openai(folder: Path) -> ClipTexts:
    return ClipTexts.from_folder(folder, cleaned=True)


@pytest.fixture(scope="module")
def raw(folder: Path) -> ClipTexts:
    return ClipTexts.from_folder(folder, cleaned=False)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  Fish &amp;amp; chips ", "fish & chips"),
        ("TWO\n\n  lines\u00a0here", "two lines here"),
        ("\u201cquoted\u201d \uff26\uff55\uff4c\uff4c", '"quoted" full'),
        ("caf\u00c3\u00a9", "caf\u00e9"),
        ("", ""),
    ],
)
def test_cleaning_repairs_unescapes_collapses_and_lower_cases(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_a_text_has_a_start_an_end_and_the_end_as_padding(openai: ClipTexts) -> None:
    (row,) = openai.ids(["a cat"]).tolist()
    assert row == [SOT, 320, 2368, *[EOT] * 74]
    assert openai.count("a cat") == 4


def test_an_empty_text_is_a_start_and_an_end(openai: ClipTexts, raw: ClipTexts) -> None:
    for texts in (openai, raw):
        assert texts.ids([""])[0].tolist() == [SOT, *[EOT] * 76]
        assert texts.count("") == 2


@pytest.mark.parametrize("words", [74, 75, 76, 500])
def test_a_long_text_is_cut_with_its_end_kept(openai: ClipTexts, raw: ClipTexts, words: int) -> None:
    for texts in (openai, raw):
        (row,) = texts.ids(["cat " * words]).tolist()
        assert row[: 1 + min(words, 75)] == [SOT, *[2368] * min(words, 75)]
        assert (len(row), row[-1]) == (77, EOT)
        assert texts.count("cat " * words) == words + 2


def test_no_text_at_all(openai: ClipTexts) -> None:
    assert openai.ids([]).shape == (0, 77)


class TestSpecialTokensInATextAreWhatTheOfficialTokenizerMakesOfThem:
    """Expected ids were printed by the official tokenizers: openai/CLIP, open_clip, transformers 4.45 (fast)."""

    def test_openai_reads_its_own_as_control(self, openai: ClipTexts) -> None:
        assert openai.words("a <|endoftext|> cat") == [320, EOT, 2368]
        assert openai.words("A <|ENDOFTEXT|> b &lt;|startoftext|&gt;") == [320, EOT, 321, SOT]
        assert max(openai.words("<start_of_text>")) < SOT

    def test_open_clip_reads_other_spellings(self, folder: Path) -> None:
        texts = ClipTexts.from_folder(folder, cleaned=True, marks=OPEN_CLIP_MARKS)
        assert texts.words("x<start_of_text>y <END_OF_TEXT>") == [343, SOT, 344, EOT]
        assert texts.words("<|endoftext|>") == [27, 347, 40786, 4160, 91, 285]

    def test_transformers_reads_its_own_as_control(self, raw: ClipTexts) -> None:
        assert raw.words("A <|ENDOFTEXT|> b <|StartOfText|>") == [320, EOT, 321, SOT]

    def test_tokens_of_other_models_are_words(self, openai: ClipTexts, raw: ClipTexts) -> None:
        for texts in (openai, raw):
            assert max(texts.words("[SEP] [CLS] <pad> <|image_pad|>")) < SOT


def test_without_cleaning_curly_quotes_and_entities_stay(openai: ClipTexts, raw: ClipTexts) -> None:
    for text in ("\u201ccat\u201d", "&amp;", "\uff26\uff55"):
        assert openai.words(text) != raw.words(text)


def test_both_forms_of_tokenizer_files_give_the_same_ids(folder: Path, tmp_path: Path, openai: ClipTexts) -> None:
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    merges = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")[1:-1]
    for written in (merges, [line.split(" ") for line in merges]):
        model = {"model": {"vocab": vocabulary, "merges": written}}
        (tmp_path / "tokenizer.json").write_text(json.dumps(model), encoding="utf-8")
        text = "Caf\u00e9 \U0001f3a8 it's a painting, 1200x800!"
        assert ClipTexts.from_folder(tmp_path, cleaned=True).words(text) == openai.words(text)


@pytest.mark.parametrize("cleaned", [True, False])
def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path, cleaned: bool) -> None:
    with pytest.raises(InfrastructureError, match="tokenizer folder") as raised:
        ClipTexts.from_folder(tmp_path, cleaned=cleaned)
    assert str(tmp_path) in str(raised.value)
