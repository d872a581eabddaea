"""A dimension judge that is a Qwen3-VL: what a SPEC says about it, pinned and not loaded. Imports no torch.

The paper's judge is such a model (PROTOCOL section 5, "Judge J"): Qwen3-VL-4B-Instruct, fine-tuned to answer with the
class of a dimension.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aes_audit.device import default_dtype
from aes_audit.errors import ModelNotFound, UnknownName, UsageError
from aes_audit.judges.guideline import Guideline, trained_guideline
from aes_audit.judges.spec import ORDERS, JudgeSpec, read_guideline, read_size
from aes_audit.weights.hub import download
from aes_audit.weights.pinned import Weights, resolve_weights
from aes_audit.weights.source import Source, parse_source

if TYPE_CHECKING:
    from aes_audit.judges.vision_language_judge import VisionLanguageJudge

__all__ = ["PUBLISHED", "QwenJudgeModel", "QwenSettings", "load_qwen_judge", "read_settings", "resolve_qwen_judge"]

PUBLISHED: Mapping[str, tuple[str, str]] = {
    "weathon/smolvlm2_anti_aesthetics_7b": (
        "Qwen/Qwen3-VL-4B-Instruct",
        "243c9945f4470e5ebf4de7216cdfc4e5ae27c3cac6126192d5e5a10f5a32b095",
    )
}
"""Published judges: repository -> that of their tokenizer and processor, and the digest of the guideline that they were
trained on (that of the CSV beside the published code). Source: PROTOCOL section 5."""

_OPTIONS = ("order", "size", "dtype", "guideline", "processor")
_NO_WEIGHTS = ("*.json", "*.txt", "*.jinja")
_DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class QwenSettings:
    """How images are asked about. What is left out is the paper's way."""

    dtype: str
    """float32, bfloat16 or float16."""
    order: str = "text-first"
    """What comes first in the question; with `image-first` an image is read once for all dimensions."""
    size: tuple[int, int] = (512, 512)
    """Width and height to which every image is brought, its shape not kept."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What goes into keys."""
        return {
            "question": self.order,
            "image": f"squashed-{self.size[0]}x{self.size[1]}-bicubic",
            "dtype": self.dtype,
            "score": "p1+2p2 over the tokens 0, 1, 2",
        }


@dataclass(frozen=True, slots=True)
class QwenJudgeModel:
    """A Qwen3-VL as a dimension judge, pinned and not loaded; follows `ResolvedJudge`."""

    name: str
    """The SPEC as typed."""
    weights: Weights
    """The model."""
    loras: tuple[Weights, ...]
    """Adapters in PEFT's layout, merged in this order."""
    processor: Weights | None
    """Where tokenizer and image recipe come from; None: from beside the weights."""
    settings: QwenSettings
    """How images are asked about."""
    guideline: Guideline
    """What the questions say."""
    device: str
    """Where it runs."""

    @property
    def revision(self) -> str:
        """Commits or content digests of model and adapters."""
        return "+".join(part.revision for part in (self.weights, *self.loras))

    @property
    def identity(self) -> Mapping[str, Any]:
        """Weights, adapters, processor, guideline and recipe."""
        return {
            "kind": "vision-language-judge",
            "weights": self.weights.identity,
            "loras": [lora.identity for lora in self.loras],
            "processor": self.processor.identity if self.processor else None,
            "guideline": self.guideline.identity,
            "recipe": self.settings.identity,
        }

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of its scores must know: a guideline other than the one it was trained on."""
        trained = [trained_guideline(part.source.folder) for part in (self.weights, *self.loras) if part.source.folder]
        published = PUBLISHED.get(self.weights.source.repo or "")
        learnt = {digest for digest in (*trained, published[1] if published else None) if digest}
        if not learnt or self.guideline.digest in learnt:
            return ()
        return (
            f"judge {self.name} was trained on another guideline than the {self.guideline.name} one "
            f"({self.guideline.digest[:12]}) that it is asked with: J is not the trained judge's.",
        )

    @property
    def sources(self) -> tuple[Weights, ...]:
        """Everything that is fetched for it."""
        return (self.weights, *self.loras, *([self.processor] if self.processor else []))

    @property
    def batch_size(self) -> int | None:
        """The loaded judge makes batches of its own."""
        return None

    def load(self) -> VisionLanguageJudge:
        """Load the weights; raises InfrastructureError."""
        return load_qwen_judge(
            self.weights.folder(),
            device=self.device,
            guideline=self.guideline,
            settings=self.settings,
            loras=[lora.folder() for lora in self.loras],
            processor=_beside_weights(self.processor) if self.processor else None,
        )


def load_qwen_judge(
    folder: Path,
    *,
    device: str,
    guideline: Guideline | None = None,
    settings: QwenSettings | None = None,
    loras: Sequence[Path] = (),
    processor: Path | None = None,
) -> VisionLanguageJudge:
    """Load a Qwen3-VL folder as a judge, with the shipped guideline and the paper's recipe where nothing else is said.

    `loras` are PEFT folders, merged in this order; `processor` is a folder with tokenizer and image recipe, by default
    `folder`. Raises InfrastructureError naming the folder and what does not fit.
    """
    from aes_audit.judges.vision_language_loading import load_vision_language_judge

    settings = settings or QwenSettings(default_dtype(device))
    return load_vision_language_judge(
        folder,
        device=device,
        guideline=guideline or Guideline.read(),
        order=settings.order,
        size=settings.size,
        dtype=settings.dtype,
        loras=loras,
        processor=processor,
    )


def resolve_qwen_judge(
    spec: JudgeSpec, weights: Weights, *, root: Path, device: str, cache: Path | None = None
) -> QwenJudgeModel:
    """Pin what a SPEC says besides the model; `root` is what relative paths refer to, `cache` as in `fingerprint`.

    Raises UsageError, UnknownName or ModelNotFound.
    """
    source, options = weights.source, spec.options
    if unknown := sorted(set(options) - set(_OPTIONS)):
        raise UnknownName("option of a vision-language judge", unknown[0], _OPTIONS)
    published = PUBLISHED.get(source.repo or "")
    typed = options.get("processor", published[0] if published else None)
    return QwenJudgeModel(
        name=spec.text,
        weights=weights,
        loras=tuple(resolve_weights(_source(text, root), "adapter_config.json", cache) for text in spec.loras),
        processor=resolve_weights(_source(typed, root), "tokenizer_config.json", cache) if typed else None,
        settings=read_settings(options, device),
        guideline=read_guideline(options, root),
        device=device,
    )


def read_settings(options: Mapping[str, str], device: str) -> QwenSettings:
    """The settings in a SPEC's brackets; raises UsageError for a value that they cannot have."""
    for name, known in (("order", ORDERS), ("dtype", _DTYPES)):
        if options.get(name, known[0]) not in known:
            raise UsageError(f"option {name}={options[name]}: choose {', '.join(known)}.")
    return QwenSettings(
        options.get("dtype", default_dtype(device)), options.get("order", ORDERS[0]), read_size(options)
    )


def _beside_weights(weights: Weights) -> Path:
    """The folder of a processor: of a repository everything but its weights, which are gigabytes that nobody reads."""
    source = weights.source
    return source.folder or download(str(source.repo), weights.revision, source.revision, _NO_WEIGHTS)


def _source(text: str, root: Path) -> Source:
    source = parse_source(text, root)
    if source is None:
        raise ModelNotFound(f"{text!r} is neither a folder nor a hub id: write a path or owner/name.")
    return source
