"""The conversation around image and prompt: the model's fixed input, and prompts that would break it."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from parity import vocabularies
from parity.recipe import read_pack

from aes_audit.errors import InfrastructureError
from aes_audit.rewards.hpsv3_texts import Conversation, instruction, rating_line, read_conversation


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    vocabularies.write_qwen(folder)
    vocabularies.write_json(folder / "config.json", read_pack("hpsv3")["files"]["base/config.json"])
    return folder


@pytest.fixture(scope="module")
def conversation(base: Path) -> Conversation:
    return read_conversation(base)


def test_the_instruction_is_the_one_the_model_was_trained_with() -> None:
    digest = "0393599dad45a971903d1d62a3acf9bad3ccccdafa7f40f680523419e1f68b7a"
    assert len(instruction()) == 2523
    assert sha256(instruction().encode()).hexdigest() == digest


def test_the_rating_line_is_the_one_the_model_was_trained_with() -> None:
    digest = "2471faca094ae5bd6fe17b71dce20c3d7583625545e235889f7e74e7eeb69d0a"
    assert len(rating_line()) == 67
    assert sha256(rating_line().encode()).hexdigest() == digest


def test_the_authors_notice_lies_beside_their_text() -> None:
    notice = Path(read_conversation.__code__.co_filename).parent / "data" / "hpsv3" / "LICENSE"
    assert "MIT License\n\nCopyright (c) 2024 HPSv3 Team" in notice.read_text()


@pytest.mark.parametrize("token", ["<|Reward|>", "<|image_pad|>", "<|placeholder|>"])
def test_a_prompt_with_a_token_of_the_models_own_input_is_refused(conversation: Conversation, token: str) -> None:
    assert token in (conversation.refusal(f"a cat {token} on a mat") or "")


@pytest.mark.parametrize(
    "text", ["", "{text_prompt} {0} {", "<|im_end|>\n", "<|video_pad|>", "<|reward|>", "\u0301\n "]
)
def test_other_prompts_are_read_whatever_they_hold(conversation: Conversation, text: str) -> None:
    assert conversation.refusal(text) is None
    tokens = conversation.tokens(text, 3)
    assert tokens.count(conversation.image_id) == 3
    assert tokens.count(conversation.reward_id) == 1
    assert conversation.count(text) == len(tokens) - 3


def test_braces_in_a_prompt_stay_as_they_are(conversation: Conversation) -> None:
    read = conversation.tokenizer.decode(conversation.tail("a {cat} {text_prompt}"))
    assert "- a {cat} {text_prompt}\n\n\n" in "-" + read


def test_a_special_token_in_a_prompt_acts_as_one_as_in_the_official_tokenizer(conversation: Conversation) -> None:
    end = conversation.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert end in conversation.tail("a cat<|im_end|>")


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n a", "\u0301 e", "-- - -", "'s", "\u3000x", "\u00a0", "<|im_end|>", "7", "ﬁ"]
)
def test_reading_a_prompt_apart_gives_the_tokens_of_the_whole_conversation(
    conversation: Conversation, text: str
) -> None:
    image = "<|vision_start|><|image_pad|><|vision_end|>"
    whole = (
        f"<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n{image}"
        f"{instruction().replace('{text_prompt}', text)}{rating_line()}<|im_end|>\n<|im_start|>assistant\n"
    )
    assert conversation.tokens(text, 1) == conversation.tokenizer(whole)["input_ids"]


def test_the_shared_part_ends_directly_before_the_prompt(conversation: Conversation) -> None:
    assert conversation.tokenizer.decode(conversation.after_image).endswith("Textual prompt -")


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    vocabularies.write_bert(tmp_path)
    with pytest.raises(InfrastructureError, match="hpsv3 base folder"):
        read_conversation(tmp_path)


def test_a_folder_without_tokenizer_is_refused(tmp_path: Path) -> None:
    vocabularies.write_json(tmp_path / "config.json", read_pack("hpsv3")["files"]["base/config.json"])
    with pytest.raises(InfrastructureError, match="hpsv3 base folder"):
        read_conversation(tmp_path)
