"""MPS, the multi-dimensional preference score: CLIP-H and a cross model that reads only the words that matter.

A text token counts when it resembles some token of a fixed condition text. Scores compare images of the same prompt;
across prompts they mean nothing. Source: Kwai-Kolors/MPS, head "overall".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity
from transformers import CLIPConfig, CLIPModel

from aes_audit.device import check_device
from aes_audit.errors import InfrastructureError, UsageError
from aes_audit.rewards.batch_sizes import images_per_pass
from aes_audit.rewards.clip_texts import ClipTexts
from aes_audit.rewards.cpu_kernels import faster_on_cpu
from aes_audit.rewards.files import RewardFiles
from aes_audit.rewards.image_recipes import hf_clip_224
from aes_audit.rewards.mps_cross_model import CrossModel, Prepared
from aes_audit.rewards.protocol import TextReading
from aes_audit.weights.checkpoint import load_strictly, read_tensors, without_prefix
from aes_audit.weights.loading import first_line, loading
from aes_audit.weights.pickled_tensors import read_pickled_tensors

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["CONDITION", "Mps", "MpsText", "faster_mps", "load_mps"]

CONDITION = (
    "light, color, clarity, tone, style, ambiance, artistry, shape, face, hair, hands, limbs, structure, instance, "
    "texture, quantity, attributes, position, number, location, word, things."
)
"""The official condition of the "overall" head; it chooses which text tokens are seen."""

# CLIP-H: what no tensor shape tells.
_TEXT_HEAD, _VISION_HEAD, _ACTIVATION, _EPSILON = 64, 80, "gelu", 1e-5
_TOWERS = ("text_model", "vision_model")


class MpsText(NamedTuple):
    """What is kept of a text."""

    tokens: Tensor
    """Projected states of all 77 tokens, (77, width)."""
    pooled: Tensor
    """The projected state of the end token, (width,)."""
    visible: Tensor
    """Whether the cross model sees a token, (77,) bool."""


class _Network(nn.Module):
    """Both parts under the names of the published file."""

    def __init__(self, clip: CLIPModel, cross: CrossModel) -> None:
        super().__init__()
        self.model: Any = clip
        self.cross_model = cross


class Mps:
    """A loaded MPS; an `Architecture` of one output, the score: exp(logit scale) x cosine, about 5 to 20."""

    outputs: tuple[str, ...] = ("value",)
    pair_batch: int = 8

    def __init__(self, network: _Network, texts: ClipTexts, threshold: float, side: int, device: str) -> None:
        """`side` is the image side in pixels; the states of the condition are computed here, once."""
        self._clip = network.model
        self._cross = network.cross_model
        self._texts = texts
        self._threshold = threshold
        self._side = side
        self._device = device
        self.image_batch = images_per_pass(self._clip.config.vision_config, device)
        with torch.inference_mode():
            self._condition = self._project_texts(self._texts.ids([CONDITION]))[0]

    def read_text(self, text: str) -> TextReading:
        """Count the text's tokens; what goes beyond 77 is cut off, with the end token kept."""
        tokens = self._texts.count(text)
        return TextReading(tokens, tokens > self._texts.length)

    def image_note(self, image: Image) -> None:
        """None: the official code accepts every mode and size."""

    def encode_images(self, images: Sequence[Image]) -> list[Prepared]:
        """Projected states of all patches, with what the first cross layer makes of them without a text."""
        tokens = self._image_tokens(self.pixels(images))
        return [Prepared(*parts) for parts in zip(*self._cross.prepare(tokens), strict=True)]

    def encode_texts(self, texts: Sequence[str]) -> list[MpsText]:
        """States and mask of each text."""
        ids = self._texts.ids(texts)
        states = self._project_texts(ids)
        ends = (ids == self._texts.eot).int().argmax(dim=1).to(states.device)
        pooled = states[torch.arange(len(states), device=states.device), ends]
        return [MpsText(*parts) for parts in zip(states, pooled, self.relevance(states) > self._threshold, strict=True)]

    def combine(self, images: Sequence[Prepared], texts: Sequence[MpsText]) -> list[tuple[float]]:
        """The score of each pair."""
        prepared = Prepared(*(torch.stack(parts) for parts in zip(*images, strict=True)))
        tokens, pooled, visible = (torch.stack(parts) for parts in zip(*texts, strict=True))
        seen = self._cross(prepared, tokens, visible)
        scores = self._clip.logit_scale.exp() * cosine_similarity(pooled, seen, dim=-1)
        return [(float(score),) for score in scores.cpu()]

    def pixels(self, images: Sequence[Image]) -> Tensor:
        """Pixels of `hf-clip-224`, float32 of shape (n, 3, side, side), before their rounding."""
        return torch.stack([hf_clip_224(image, self._side) for image in images])

    def relevance(self, states: Tensor) -> Tensor:
        """How much each text token resembles the condition, (n, 77); 1 is the most relevant token of a text.

        The official code divides by the maximum of the whole batch, which ties a score to its neighbours; a batch of
        one is the reference.
        """
        likeness = (states @ self._condition.T).amax(dim=-1)
        return likeness / likeness.amax(dim=-1, keepdim=True)

    def _image_tokens(self, pixels: Tensor) -> Tensor:
        # The official code halves the pixels' precision before the model, which is single precision.
        rounded = pixels.half().float().to(self._device)
        states = self._clip.vision_model(pixel_values=rounded).last_hidden_state
        return cast(Tensor, self._clip.visual_projection(states))

    def _project_texts(self, ids: Tensor) -> Tensor:
        # No mask for the padding: the official code lets the cross model see its states.
        states = self._clip.text_model(input_ids=ids.to(self._device)).last_hidden_state
        return cast(Tensor, self._clip.text_projection(states))


def load_mps(files: RewardFiles, options: Mapping[str, str], device: str) -> Mps:
    """Load `MPS_overall_checkpoint.pth` (the authors' pickled module, read without running it) or plain tensors.

    Companion `tokenizer` is the tokenizer of LAION's CLIP-H; `clip_config.json` beside the weights may say what no
    shape tells. Options: `threshold`, a number in (0, 1); `dtype`, where "official" is float32 too.
    Raises UsageError for another threshold, UnsafeWeights and InfrastructureError as the readers of weights do.
    """
    check_device(device)
    threshold = _threshold(options.get("threshold", "0.3"))
    tensors = _tensors(files.checkpoint)
    network = _network(tensors, files)
    load_strictly(network, tensors, files.checkpoint, assign=True)
    _number_positions(network)
    network.requires_grad_(False).train(False).to(device)
    texts = ClipTexts.from_folder(files.companions["tokenizer"], cleaned=False)
    side = network.model.config.vision_config.image_size
    return Mps(faster_mps(network), texts, threshold, side, device)


def faster_mps(network: _Network) -> _Network:
    """The same network, changed in place, with faster kernels on a CPU; see `faster_on_cpu`."""
    return faster_on_cpu(network, keep=(network.cross_model.last_projection,))


def _threshold(text: str) -> float:
    try:
        threshold = float(text)
    except ValueError:
        threshold = 0.0
    if not 0 < threshold < 1:
        raise UsageError(f"mps option threshold = {text!r} is no number between 0 and 1: give 0.3 or 0.01.")
    return threshold


def _tensors(file: Path) -> dict[str, Tensor]:
    found = read_tensors(file) if file.suffix == ".safetensors" else read_pickled_tensors(file)
    # Files of older transformers carry the position numbers as tensors.
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in without_prefix(found, "mps.").items()
        if not name.endswith(".position_ids")
    }


def _network(tensors: Mapping[str, Tensor], files: RewardFiles) -> _Network:
    """A network of the tensors' sizes, on the meta device: random weights for a billion parameters take a while."""
    what = f"reward file {str(files.checkpoint)!r}"
    try:
        clip, cross = _clip_config(tensors, files.folder), _cross_sizes(tensors)
    except KeyError as error:
        raise InfrastructureError(f"{what} does not fit the model: tensor {error.args[0]!r} is missing.") from error
    except (TypeError, ValueError, IndexError) as error:
        raise InfrastructureError(f"{what} does not fit the model: {first_line(error)}.") from error
    with loading(what), torch.device("meta"):
        return _Network(CLIPModel(clip), CrossModel(**cross))


def _clip_config(tensors: Mapping[str, Tensor], folder: Path) -> CLIPConfig:
    """Sizes by shapes; heads, activation and epsilon by `clip_config.json` where it is there."""
    given = _read_config(folder / "clip_config.json")
    text = _tower(tensors, "model.text_model", _TEXT_HEAD, given.get("text_config", {}))
    vision = _tower(tensors, "model.vision_model", _VISION_HEAD, given.get("vision_config", {}))
    table = tensors["model.text_model.embeddings.token_embedding.weight"]
    patches = tensors["model.vision_model.embeddings.patch_embedding.weight"]
    positions = {tower: tensors[f"model.{tower}.embeddings.position_embedding.weight"] for tower in _TOWERS}
    grid = round((len(positions["vision_model"]) - 1) ** 0.5)
    width = len(tensors["model.visual_projection.weight"])
    text |= {"vocab_size": len(table), "max_position_embeddings": len(positions["text_model"])}
    vision |= {"patch_size": patches.shape[-1], "image_size": grid * patches.shape[-1]}
    return CLIPConfig(text_config=text, vision_config=vision, projection_dim=width)


def _tower(tensors: Mapping[str, Tensor], prefix: str, head: int, given: Mapping[str, Any]) -> dict[str, Any]:
    width = len(tensors[f"{prefix}.encoder.layers.0.layer_norm1.weight"])
    return {
        "hidden_size": width,
        "intermediate_size": len(tensors[f"{prefix}.encoder.layers.0.mlp.fc1.weight"]),
        "num_hidden_layers": _count(tensors, f"{prefix}.encoder.layers."),
        "num_attention_heads": given.get("num_attention_heads", max(width // head, 1)),
        "hidden_act": given.get("hidden_act", _ACTIVATION),
        "layer_norm_eps": given.get("layer_norm_eps", _EPSILON),
    }


def _cross_sizes(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    first = "cross_model.layers.0.0.fn."
    queries, width = tensors[f"{first}to_q.weight"].shape
    # All heads share one key and one value head, which lie on top of each other.
    head = max(len(tensors[f"{first}to_kv.weight"]) // 2, 1)
    layers = _count(tensors, "cross_model.layers.")
    inner = len(tensors[f"{first}ff.0.weight"]) // 2
    return {"width": width, "layers": layers, "heads": queries // head, "head": head, "inner": inner}


def _count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    return len({name.removeprefix(prefix).split(".")[0] for name in tensors if name.startswith(prefix)})


def _read_config(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InfrastructureError(f"{file} is no JSON object: {error}.") from error


def _number_positions(network: _Network) -> None:
    # These buffers are in no file, so they are still without content.
    for module in network.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_meta and name == "position_ids":
                module.register_buffer(name, torch.arange(buffer.shape[-1])[None], persistent=False)
