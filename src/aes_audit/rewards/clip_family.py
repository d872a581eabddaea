"""HPS v1, HPSv2, CLIP-L and PickScore: the cosine of an image and a text embedding, or its scaled form.

Sources: tgxs002/align_sd (HPS v1), tgxs002/HPSv2, openai/CLIP, yuvalkirstain/PickScore.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from aes_audit.device import check_device
from aes_audit.errors import UnsafeWeights
from aes_audit.rewards.batch_sizes import images_per_pass
from aes_audit.rewards.clip_checkpoint import ClipTraits, build_clip, read_traits
from aes_audit.rewards.clip_texts import OPEN_CLIP_MARKS, ClipTexts
from aes_audit.rewards.cpu_kernels import faster_on_cpu
from aes_audit.rewards.files import RewardFiles
from aes_audit.rewards.image_recipes import hf_clip_224, letterbox_224, letterbox_note, openai_224
from aes_audit.rewards.protocol import TextReading
from aes_audit.weights.checkpoint import read_tensors
from aes_audit.weights.pickled_tensors import read_pickled_tensors

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ClipArchitecture", "faster_clip", "load_clip_l", "load_hpsv1", "load_hpsv2", "load_pickscore"]

Pixels = Callable[["Image"], Tensor]
"""From an image to its pixels, float32 of shape (3, h, w)."""

Reader = Callable[[Path, Sequence[str]], Mapping[str, Tensor]]
"""From a weight file, and keys of a dictionary that may wrap the tensors, to the tensors by name."""

_VIT_L = ClipTraits("quick_gelu")
_VIT_H = ClipTraits("gelu", vision_head_width=80)


class ClipArchitecture:
    """A CLIPModel whose score is a cosine in [-1, 1], times exp(logit_scale) where `scaled`."""

    outputs: tuple[str, ...] = ("value",)
    pair_batch = 4096

    def __init__(
        self,
        model: Any,
        texts: ClipTexts,
        pixels: Pixels,
        *,
        scaled: bool = False,
        note: Callable[[Image], str | None] = lambda image: None,
        autocast: bool = False,
    ) -> None:
        """`model` is a CLIPModel on its device; with `autocast` it computes as under float16 autocast."""
        self.model = model
        self.texts = texts
        self.pixels = pixels
        self.scaled = scaled
        self.image_note = note
        self._autocast = autocast
        self._device = torch.device(model.device)
        weights = model.visual_projection.weight.dtype
        self._score_dtype = torch.float16 if autocast else weights
        self.image_batch = images_per_pass(model.config.vision_config, self._device.type)

    def read_text(self, text: str) -> TextReading:
        """Tokens with start and end; a long text is cut with its end token kept, never refused."""
        count = self.texts.count(text)
        return TextReading(count, count > self.texts.length)

    def encode_images(self, images: Sequence[Image]) -> Sequence[Tensor]:
        """Unit vectors of shape (embedding,)."""
        pixels = torch.stack([self.pixels(image) for image in images]).to(self._device)
        with self._precision():
            return list(_unit(self.model.get_image_features(pixel_values=pixels)))

    def encode_texts(self, texts: Sequence[str]) -> Sequence[Tensor]:
        """Unit vectors of shape (embedding,)."""
        ids = self.texts.ids(texts)
        # Attention is causal, so what follows the end token is padding that nothing reads: it need not be computed.
        ids = ids[:, : min(ids.shape[1], max(map(self.texts.count, texts)))].to(self._device)
        with self._precision():
            return list(_unit(self.model.get_text_features(input_ids=ids)))

    def combine(self, images: Sequence[Tensor], texts: Sequence[Tensor]) -> Sequence[tuple[float, ...]]:
        """The score of every pair, as a row of one number."""
        left, right = (torch.stack(list(states)).to(self._score_dtype).float() for states in (images, texts))
        # Below float32, the official product sums in float32 and rounds its result.
        cosine = (left * right).sum(dim=-1).to(self._score_dtype).float()
        if self.scaled:
            cosine = cosine * self.model.logit_scale.float().exp()
        return [(value,) for value in cosine.tolist()]

    def _precision(self) -> torch.autocast:
        return torch.autocast(self._device.type, dtype=torch.float16, enabled=self._autocast)


def load_hpsv1(files: RewardFiles, options: Mapping[str, str], device: str) -> ClipArchitecture:
    """HPS v1; raises InfrastructureError or UnsafeWeights naming the file and what is wrong with it."""
    texts = ClipTexts.from_folder(files.companions["tokenizer"], cleaned=True)
    model = _model(files, texts, _VIT_L, "open_clip_config.json", device, _read_hpsv1)
    model = _in_dtype(model, options, halved=True)
    return ClipArchitecture(model, texts, partial(openai_224, side=_side(model)))


def load_hpsv2(files: RewardFiles, options: Mapping[str, str], device: str) -> ClipArchitecture:
    """HPSv2.0 or 2.1, according to the weights; errors as for `load_hpsv1`."""
    texts = ClipTexts.from_folder(files.companions["tokenizer"], cleaned=True, marks=OPEN_CLIP_MARKS)
    model = _model(files, texts, _VIT_H, "open_clip_config.json", device)
    pixels = partial(letterbox_224, side=_side(model), antialias=options["antialias"] == "true")
    note = partial(letterbox_note, side=_side(model))
    autocast = options["dtype"] == "official"
    # Autocast chooses a precision for stock modules only.
    model = model if autocast else faster_clip(model)
    return ClipArchitecture(model, texts, pixels, note=note, autocast=autocast)


def load_clip_l(files: RewardFiles, options: Mapping[str, str], device: str) -> ClipArchitecture:
    """CLIP with OpenAI's preprocessing, or with that of transformers (`recipe=hf`); errors as for `load_hpsv1`."""
    openai = options["recipe"] == "openai"
    texts = ClipTexts.from_folder(files.companions["tokenizer"], cleaned=openai)
    model = _model(files, texts, _VIT_L, "config.json", device)
    pixels = partial(openai_224 if openai else hf_clip_224, side=_side(model))
    # transformers has no dtype of its own on an accelerator; OpenAI's code has float16.
    model = _in_dtype(model, options, halved=openai)
    return ClipArchitecture(model, texts, pixels, scaled=options["output"] == "logits")


def load_pickscore(files: RewardFiles, options: Mapping[str, str], device: str) -> ClipArchitecture:
    """PickScore; its official dtype is float32 everywhere. Errors as for `load_hpsv1`."""
    texts = ClipTexts.from_folder(files.companions["tokenizer"], cleaned=False)
    model = faster_clip(_model(files, texts, _VIT_H, "config.json", device))
    return ClipArchitecture(model, texts, partial(hf_clip_224, side=_side(model)), scaled=True)


def faster_clip(model: Any) -> Any:
    """A CLIPModel with faster kernels on a CPU, whose last image layer gives the pooled token alone.

    The model itself is changed, see `faster_on_cpu`.
    """
    last = model.vision_model.encoder.layers[-1]
    # Projections see one token per image or text, which no kernel makes faster.
    return faster_on_cpu(model, first_only=(last,), keep=(model.visual_projection, model.text_projection))


def _model(
    files: RewardFiles,
    texts: ClipTexts,
    usual: ClipTraits,
    configuration: str,
    device: str,
    read: Reader = read_tensors,
) -> Any:
    check_device(device)
    traits = read_traits(files.folder / configuration, usual)
    tensors = read(files.checkpoint, ("state_dict",))
    model = build_clip(tensors, traits, files.checkpoint, vocabulary=texts.eot + 1, length=texts.length)
    return model.to(device)


def _side(model: Any) -> int:
    return int(model.config.vision_config.image_size)


def _read_hpsv1(file: Path, unwrap: Sequence[str]) -> Mapping[str, Tensor]:
    try:
        return read_tensors(file, unwrap)
    except UnsafeWeights:
        # Copies of this file carry optimisers and arguments beside the tensors; they are left unread.
        return read_pickled_tensors(file, unwrap)


def _in_dtype(model: Any, options: Mapping[str, str], *, halved: bool) -> Any:
    """With `dtype=official`, weights as OpenAI's code has them on an accelerator: float16, layer norms in float32."""
    if options["dtype"] != "official" or not halved:
        return faster_clip(model)
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(),))
            module.register_forward_hook(lambda _, inputs, output: output.half())
            continue
        for name, weight in list(module.named_parameters(recurse=False)):
            if name != "logit_scale":
                setattr(module, name, nn.Parameter(weight.half(), requires_grad=False))
    return model


def _unit(features: Any) -> Tensor:
    # transformers 5 wraps the projected feature in an output object, 4.x returns the tensor.
    tensor: Tensor = getattr(features, "pooler_output", features)
    return nn.functional.normalize(tensor, dim=-1)
