"""The rewards of the paper: where their weights come from, and what may be chosen about them. Imports no torch.

Repositories and licences are facts of the publishers' pages; recipes are specified per reward in the loaders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aes_audit.errors import UnknownName, UsageError

__all__ = ["CATALOGUE", "CONFIGURATION", "Companion", "Option", "RewardEntry"]

CONFIGURATION = (
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "config.json",
    "generation_config.json",
    "merges.txt",
    "preprocessor_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)
"""The small files of a companion: tokenizer and configuration, never weights."""


@dataclass(frozen=True, slots=True)
class Option:
    """One choice about a recipe."""

    values: tuple[str, ...]
    """What may be said, the default first."""
    number: bool = False
    """Whether any number between 0 and 1 may be said as well."""

    def read(self, text: str) -> str | None:
        """The value in its one spelling, or None where it is none of the option's."""
        if text in self.values:
            return text
        try:
            value = float(text)
        except ValueError:
            return None
        return repr(value) if self.number and 0 < value < 1 else None


@dataclass(frozen=True, slots=True)
class Companion:
    """Files without weights that a reward needs besides its checkpoint."""

    beside: str
    """Name of the sub-folder that holds them where the reward was given by path."""
    repo: str
    """The hub repository that serves otherwise."""
    own: bool = False
    """Whether the checkpoint's own folder or repository serves where it holds a tokenizer."""


@dataclass(frozen=True, slots=True)
class RewardEntry:
    """A reward with a name, before anything is pinned."""

    loader: str
    """`module:function`, imported when the reward is loaded."""
    files: tuple[str, ...]
    """Official names of the weights, preferred first."""
    licence: str
    """Of the weights."""
    image: str
    """Image recipe."""
    text: str
    """Text recipe."""
    repo: str | None = None
    """Hub repository; None where the authors publish none, so that a path must be given."""
    beside: tuple[str, ...] = ()
    """Configuration files that are read beside the weights, where they exist."""
    companions: Mapping[str, Companion] = field(default_factory=dict)
    """By role."""
    options: Mapping[str, Option] = field(default_factory=dict)
    """Choices besides `dtype`, which all have."""
    low_precision: bool = False
    """Whether the official dtype is the default on an accelerator."""

    def defaults(self, device: str) -> dict[str, str]:
        """What holds where nothing is said."""
        low = self.low_precision and device != "cpu"
        return {name: option.values[0] for name, option in self.options.items()} | {
            "dtype": "official" if low else "float32"
        }

    def read_options(self, said: Mapping[str, str], reward: str) -> dict[str, str]:
        """What was said, in its one spelling; raises UnknownName or UsageError naming what exists."""
        known = {**self.options, "dtype": _DTYPE}
        read: dict[str, str] = {}
        for name, text in said.items():
            if name not in known:
                raise UnknownName(f"option of {reward}", name, known)
            value = known[name].read(text)
            if value is None:
                more = " or another number between 0 and 1" if known[name].number else ""
                choices = ", ".join(known[name].values)
                raise UsageError(f"{reward}[{name}={text}]: {name} is one of {choices}{more}, not {text!r}.")
            read[name] = value
        return read


_DTYPE = Option(("float32", "official"))
_CLIP_TOKENIZER = {"tokenizer": Companion("tokenizer", "openai/clip-vit-large-patch14")}
_LAION_TOKENIZER = {"tokenizer": Companion("tokenizer", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K")}
_BERT_TOKENIZER = {"tokenizer": Companion("bert-base-uncased", "google-bert/bert-base-uncased", own=True)}


def _hpsv2(file: str) -> RewardEntry:
    return RewardEntry(
        "aes_audit.rewards.clip_family:load_hpsv2",
        (file,),
        "Apache-2.0",
        image="letterbox-224",
        text="clip-clean-77",
        repo="xswu/HPSv2",
        beside=("open_clip_config.json",),
        companions=_CLIP_TOKENIZER,
        options={"antialias": Option(("true", "false"))},
    )


CATALOGUE: Mapping[str, RewardEntry] = {
    "hpsv1": RewardEntry(
        "aes_audit.rewards.clip_family:load_hpsv1",
        ("hpc.pt",),
        "Apache-2.0",
        image="openai-224",
        text="clip-clean-77",
        beside=("open_clip_config.json",),
        companions=_CLIP_TOKENIZER,
    ),
    "hpsv2.0": _hpsv2("HPS_v2_compressed.pt"),
    "hpsv2.1": _hpsv2("HPS_v2.1_compressed.pt"),
    "hpsv3": RewardEntry(
        "aes_audit.rewards.hpsv3:load_hpsv3",
        ("HPSv3.safetensors",),
        "MIT",
        image="qwen-256",
        text="qwen-chat",
        repo="MizzenAI/HPSv3",
        companions={"base": Companion("base", "Qwen/Qwen2-VL-7B-Instruct")},
        low_precision=True,
    ),
    "mps": RewardEntry(
        "aes_audit.rewards.mps:load_mps",
        (
            "MPS_overall_checkpoint.safetensors",
            "mps_state_dict.safetensors",
            "MPS_overall_checkpoint.pth",
            "mps_state_dict.pth",
        ),
        "MIT",
        image="hf-clip-224, rounded to float16",
        text="clip-raw-77",
        beside=("clip_config.json",),
        companions=_LAION_TOKENIZER,
        options={"threshold": Option(("0.3", "0.01"), number=True)},
    ),
    "pickscore": RewardEntry(
        "aes_audit.rewards.clip_family:load_pickscore",
        ("model.safetensors",),
        "MIT",
        image="hf-clip-224",
        text="clip-raw-77",
        repo="yuvalkirstain/PickScore_v1",
        beside=("config.json",),
        companions={"tokenizer": Companion("tokenizer", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K", own=True)},
    ),
    "imagereward": RewardEntry(
        "aes_audit.rewards.imagereward:load_imagereward",
        ("ImageReward.pt",),
        "Apache-2.0",
        image="openai-224",
        text="bert-35",
        repo="THUDM/ImageReward",
        beside=("med_config.json",),
        companions=_BERT_TOKENIZER,
    ),
    "clip-l": RewardEntry(
        "aes_audit.rewards.clip_family:load_clip_l",
        ("model.safetensors",),
        "MIT (code)",
        image="openai-224, or hf-clip-224 with recipe=hf",
        text="clip-clean-77, or clip-raw-77 with recipe=hf",
        repo="openai/clip-vit-large-patch14",
        beside=("config.json",),
        companions={"tokenizer": Companion("tokenizer", "openai/clip-vit-large-patch14", own=True)},
        options={"recipe": Option(("openai", "hf")), "output": Option(("cosine", "logits"))},
    ),
    "blip-itm": RewardEntry(
        "aes_audit.rewards.blip_itm:load_blip_itm",
        ("model.safetensors", "model_large_retrieval_coco.pth", "pytorch_model.bin"),
        "BSD-3-Clause",
        image="square-384",
        text="bert-35",
        repo="Salesforce/blip-itm-large-coco",
        beside=("config.json", "med_config.json"),
        companions=_BERT_TOKENIZER,
        options={"output": Option(("probability", "logit", "itc"))},
    ),
}
"""Every reward of the paper by its name."""
