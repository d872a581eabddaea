"""BERT texts: what reaches BLIP of a text, and which words are control."""

from __future__ import annotations

from pathlib import Path

import pytest
from parity import vocabularies

from aes_audit.errors import InfrastructureError
from aes_audit.rewards.bert_texts import LENGTH, BertTexts

CLS, SEP, PAD, UNK, MASK, DEC, ENC = 101, 102, 0, 100, 103, 301, 302
A, CAT = 146, 264
ROWS = 303


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert-base-uncased")
    vocabularies.write_bert(folder)
    return folder


@pytest.fixture(scope="module")
def texts(folder: Path) -> BertTexts:
    return BertTexts.from_folder(folder, rows=ROWS)


# The ids that BertTokenizer of transformers 4.45.2 gave for the same vocabulary.
@pytest.mark.parametrize(
    ("text", "official"),
    [
        ("A CAT", [A, CAT]),
        ("a [SEP] cat", [A, SEP, CAT]),
        ("a[MASK]cat", [A, MASK, CAT]),
        ("[PAD] cat", [PAD, CAT]),
        ("[CLS]", [CLS]),
        ("[UNK]", [UNK]),
        ("[DEC] [ENC] cat", [DEC, ENC, CAT]),
        ("🤩", [UNK]),
        ("", []),
    ],
)
def test_special_tokens_in_a_text_are_what_the_official_tokenizer_makes_of_them(
    texts: BertTexts, text: str, official: list[int]
) -> None:
    (ids,) = texts.ids([text])
    assert ids.tolist() == [CLS, *official, SEP]


@pytest.mark.parametrize("text", ["[sep]", "[ SEP ]", "[enc]", "sep"])
def test_other_spellings_of_special_tokens_are_words(texts: BertTexts, text: str) -> None:
    (ids,) = texts.ids([text])
    assert {PAD, CLS, SEP, MASK, DEC, ENC}.isdisjoint(ids[1:-1].tolist())


def test_a_long_text_keeps_both_ends_and_is_reported_as_cut(texts: BertTexts) -> None:
    (ids,) = texts.ids(["cat " * 40])
    assert ids.tolist() == [CLS, *[CAT] * (LENGTH - 2), SEP]
    assert texts.read("cat " * 40) == (42, True, None)
    assert texts.read("cat " * (LENGTH - 2)) == (LENGTH, False, None)


def test_capitals_are_lowered_whatever_the_folder_says(folder: Path, tmp_path: Path) -> None:
    vocabularies.write_bert(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false, "tokenizer_class": "BertTokenizer"}')
    (ids,) = BertTexts.from_folder(tmp_path, rows=ROWS).ids(["CAT"])
    assert ids.tolist() == [CLS, CAT, SEP]


def test_no_texts_are_no_ids(texts: BertTexts) -> None:
    assert texts.ids([]) == []


def test_a_tokenizer_for_another_vocabulary_is_refused(folder: Path) -> None:
    with pytest.raises(InfrastructureError, match="knows 303 tokens where the weights have 30524"):
        BertTexts.from_folder(folder, rows=30524)


def test_a_folder_without_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="tokenizer"):
        BertTexts.from_folder(tmp_path, rows=ROWS)
