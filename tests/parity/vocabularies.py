"""Tokenizer folders: CLIP's own vocabulary, and toys that stand in for those of BERT and Qwen2-VL."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

__all__ = ["write_bert", "write_clip", "write_json", "write_qwen"]

_CLIP_MERGES = Path(__file__).parent / "data" / "bpe_simple_vocab_16e6.txt.gz"
_CLIP_SPECIAL = {
    "bos_token": "<|startoftext|>",
    "eos_token": "<|endoftext|>",
    "unk_token": "<|endoftext|>",
    "pad_token": "<|endoftext|>",
}
_BERT_WORDS = (
    "a an and ancient at birds by cat chips city clouds day depth detailed effect field fish high in it light low "
    "matte ocean of on paint space spa the time towers two with 東 京 夜 ##ed ##er ##es ##ing ##ly ##ces ##tion"
)
_QWEN_MERGES = (
    "t h|Ġ t|Ġt h|Ġth e|i n|a t|Ġ a|e r|o n|Ġ s|i m|a g|ag e|im age|Ġ image|Ġ c|Ġc at".split("|")  # noqa: SIM905
)
_QWEN_SPECIAL = (
    "endoftext im_start im_end object_ref_start object_ref_end box_start box_end quad_start quad_end "
    "vision_start vision_end vision_pad image_pad video_pad"
)
_QWEN_TEMPLATE = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for part in m['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_json(file: Path, content: Any) -> None:
    """Write `content` as JSON, with the folders above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def write_clip(folder: Path) -> None:
    """CLIP's tokenizer as transformers reads it, padding with the end token (49407)."""
    lines = gzip.decompress(_CLIP_MERGES.read_bytes()).decode("utf-8").split("\n")
    # 49152 tokens were trained: 256 bytes, the same 256 at a word's end, the rest are merges after a title line.
    merges = lines[1 : 49152 - 256 - 2 + 1]
    symbols = _byte_symbols()
    words = [*symbols, *(f"{symbol}</w>" for symbol in symbols), *(merge.replace(" ", "") for merge in merges)]
    vocabulary = [*words, "<|startoftext|>", "<|endoftext|>"]
    write_json(folder / "vocab.json", {token: number for number, token in enumerate(vocabulary)})
    _write_merges(folder, merges)
    write_json(folder / "special_tokens_map.json", _CLIP_SPECIAL)
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True}
    write_json(
        folder / "tokenizer_config.json", {**_CLIP_SPECIAL, **settings, "add_prefix_space": False, "errors": "replace"}
    )


def write_bert(folder: Path) -> None:
    """A small WordPiece tokenizer in which [PAD], [UNK], [CLS], [SEP] and [MASK] have the ids of bert-base-uncased."""
    settings = {"do_lower_case": True, "model_max_length": 512, "tokenizer_class": "BertTokenizer"}
    write_json(folder / "tokenizer_config.json", settings)
    (folder / "vocab.txt").write_text("\n".join(_bert_vocabulary()) + "\n", encoding="utf-8")


def write_qwen(folder: Path) -> None:
    """A byte-level tokenizer of 287 tokens with the special ones of Qwen2-VL; a token added later gets id 287."""
    words = [*sorted(_byte_symbols()), *(merge.replace(" ", "") for merge in _QWEN_MERGES)]
    write_json(folder / "vocab.json", {token: number for number, token in enumerate(words)})
    _write_merges(folder, _QWEN_MERGES)
    write_json(folder / "chat_template.json", {"chat_template": _QWEN_TEMPLATE})
    write_json(folder / "tokenizer_config.json", _qwen_settings(len(words)))


def _qwen_settings(words: int) -> dict[str, Any]:
    special = [f"<|{name}|>" for name in _QWEN_SPECIAL.split()]
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    return {
        "tokenizer_class": "Qwen2Tokenizer",
        "added_tokens_decoder": {str(words + i): {"content": token, **flags} for i, token in enumerate(special)},
        "additional_special_tokens": special[1:],
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "add_prefix_space": False,
        "errors": "replace",
        "model_max_length": 32768,
        "padding_side": "left",
        "split_special_tokens": False,
        "clean_up_tokenization_spaces": False,
        "chat_template": _QWEN_TEMPLATE,
    }


def _bert_vocabulary() -> list[str]:
    letters = [chr(code) for code in (*range(48, 58), *range(97, 123), *range(945, 970))]
    signs = [chr(code) for code in range(33, 127) if not chr(code).isalnum()]
    head = ["[PAD]", *(f"[unused{number}]" for number in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    inner = [f"##{letter}" for letter in letters]
    return list(dict.fromkeys([*head, *signs, *letters, *inner, *_BERT_WORDS.split()]))


def _byte_symbols() -> list[str]:
    """Byte-level BPE writes each byte as a visible character; in CLIP's order, visible bytes come first."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(byte) for byte in visible] + [chr(256 + number) for number in range(256 - len(visible))]


def _write_merges(folder: Path, merges: list[str]) -> None:
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
