"""The faster kernels against the stock modules that they were made from."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModel, BlipTextConfig, BlipVisionConfig, BlipVisionModel, CLIPConfig, CLIPModel
from transformers import Qwen2VLConfig as QwenConfig
from transformers.activations import ACT2FN
from transformers.models.blip.modeling_blip_text import BlipTextModel

from aes_audit.rewards import packed_linear
from aes_audit.rewards.clip_family import faster_clip
from aes_audit.rewards.cpu_kernels import faster_on_cpu
from aes_audit.rewards.mps_cross_model import CrossModel
from aes_audit.rewards.packed_layers import EncoderLayer
from aes_audit.rewards.packed_linear import PackedLinear, PackedMlp, available, fused

TOLERANCE = 1e-5
END = 49

needed = pytest.mark.skipif(not available(), reason="this torch has no oneDNN operators")
Asked = Callable[[Any], list[Tensor]]


def sizes(width: int, inner: int, layers: int, heads: int, **others: Any) -> dict[str, Any]:
    named = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    return dict(zip(named, (width, inner, layers, heads), strict=True)) | others


def clip(activation: str = "quick_gelu", width: int = 48, inner: int = 100, text: int = 36) -> Any:
    return ready(
        CLIPModel(
            CLIPConfig(
                text_config=sizes(
                    text, inner + 7, 2, 3, vocab_size=50, eos_token_id=END, bos_token_id=48, hidden_act=activation
                ),
                vision_config=sizes(width, inner, 3, 3, image_size=28, patch_size=7, hidden_act=activation),
                projection_dim=20,
            )
        )
    )


def ready(model: Any) -> Any:
    """With weights large enough that what is left out would show, and no bias that is nought."""
    generator = torch.Generator().manual_seed(0)
    for parameter in model.requires_grad_(False).eval().parameters():
        scale = parameter.shape[-1] ** -0.5 if parameter.ndim > 1 else 0.3
        parameter.add_(torch.randn(parameter.shape, generator=generator) * scale)
    return model


def ids(rows: int) -> Tensor:
    found = torch.randint(0, 48, (rows, 9), generator=torch.Generator().manual_seed(rows))
    for row in range(rows):
        found[row, 8 - row % 4 :] = END
    return found


def images(rows: int, side: int = 28) -> Tensor:
    return torch.randn(rows, 3, side, side, generator=torch.Generator().manual_seed(rows))


def of_clip(rows: int) -> Asked:
    return lambda model: [
        model.get_image_features(pixel_values=images(rows)).pooler_output,
        model.get_text_features(input_ids=ids(rows)).pooler_output,
    ]


def gap(stock: Any, changed: Any, asked: Asked) -> float:
    with torch.inference_mode():
        pairs = list(zip(asked(stock), asked(changed), strict=True))
    assert all(one.shape == other.shape for one, other in pairs)
    return max(float((one - other).abs().max()) for one, other in pairs)


def exchanged(model: nn.Module) -> int:
    return sum(isinstance(module, PackedLinear) for module in model.modules())


@needed
@pytest.mark.parametrize("rows", [1, 2, 3, 5])
@pytest.mark.parametrize("activation", ["quick_gelu", "gelu", "gelu_new"])
@pytest.mark.parametrize(("width", "inner", "text"), [(48, 100, 36), (51, 101, 33), (24, 16, 24)])
def test_a_clip_embeds_as_the_stock_one(activation: str, width: int, inner: int, text: int, rows: int) -> None:
    stock = clip(activation, width, inner, text)
    changed = faster_clip(copy.deepcopy(stock))
    # Four products in each of three and two layers, and the last image layer's queries.
    assert exchanged(changed) == 21
    assert gap(stock, changed, of_clip(rows)) < TOLERANCE


@needed
def test_activations_are_told_apart() -> None:
    models = {name: clip(name) for name in ("quick_gelu", "gelu")}
    assert gap(models["gelu"], faster_clip(models["quick_gelu"]), of_clip(2)) > 100 * TOLERANCE


@needed
@pytest.mark.parametrize("activation", ["quick_gelu", "gelu", "silu", "gelu_new", "relu", "gelu_python"])
def test_every_activation_is_the_stock_one(activation: str) -> None:
    first, second = ready(nn.Linear(30, 70)), ready(nn.Linear(70, 30))
    function = ACT2FN[activation]
    x = torch.linspace(-9, 9, 21 * 30).reshape(3, 7, 30)
    expected = second(function(first(x)))
    assert torch.allclose(PackedMlp(first, function, second)(x), expected, atol=2e-5, rtol=1e-5)
    assert torch.allclose(PackedMlp(first, function, second)(x, x), x + expected, atol=2e-5, rtol=1e-5)
    assert (fused(function) is None) == (activation in ("gelu_new", "relu", "gelu_python"))


@needed
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 5), (7, 5), (2, 3, 5), (300, 5)])
def test_a_linear_layer_takes_any_number_of_rows(shape: tuple[int, ...], bias: bool) -> None:
    stock = ready(nn.Linear(5, 3, bias=bias))
    x, other = torch.randn(shape), torch.randn(*shape[:-1], 3)
    layer = PackedLinear.of(stock)
    assert torch.allclose(layer(x), stock(x), atol=1e-6)
    assert torch.allclose(layer(x, other), stock(x) + other, atol=1e-6)
    assert torch.allclose(layer(x, other, "mul"), stock(x) * other, atol=1e-6)


@needed
@pytest.mark.parametrize("rows", [1, 3, 4])
@pytest.mark.parametrize("activation", ["gelu", "quick_gelu"])
def test_blip_sees_and_reads_as_the_stock_one(activation: str, rows: int) -> None:
    vision = ready(
        BlipVisionModel(BlipVisionConfig(**sizes(42, 90, 2, 3, image_size=28, patch_size=7, hidden_act=activation)))
    )
    text = ready(
        BlipTextModel(
            BlipTextConfig(
                **sizes(33, 70, 2, 3, encoder_hidden_size=42, vocab_size=50, bos_token_id=None),
                is_decoder=True,
                hidden_act=activation,
            ),
            add_pooling_layer=False,
        )
    )
    seen = faster_on_cpu(copy.deepcopy(vision))
    assert gap(vision, seen, lambda model: [model(pixel_values=images(rows)).last_hidden_state]) < TOLERANCE
    pooled = copy.deepcopy(vision)
    faster_on_cpu(pooled, first_only=(pooled.encoder.layers[-1],))
    assert gap(vision, pooled, lambda model: [model(pixel_values=images(rows)).last_hidden_state[:, :1]]) < TOLERANCE
    mask = torch.ones(rows, 9, dtype=torch.long)
    mask[0, 6:] = 0
    states = torch.randn(rows, 17, 42)
    read = faster_on_cpu(copy.deepcopy(text))
    assert not [module for module in read.modules() if type(module) is nn.Linear]

    def asked(model: Any) -> list[Tensor]:
        return [model(input_ids=ids(rows), attention_mask=mask, encoder_hidden_states=states).last_hidden_state]

    assert gap(text, read, asked) < TOLERANCE


@needed
@pytest.mark.parametrize("rows", [1, 2])
def test_qwen_sees_and_reads_as_the_stock_one(rows: int) -> None:
    config = QwenConfig(
        text_config=sizes(
            32,
            75,
            2,
            2,
            num_key_value_heads=1,
            vocab_size=50,
            pad_token_id=None,
            bos_token_id=None,
            eos_token_id=None,
            rope_parameters={"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4},
        ),
        vision_config={"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2},
    )
    stock = ready(AutoModel.from_config(config, attn_implementation="sdpa", dtype=torch.float32))
    changed = faster_on_cpu(copy.deepcopy(stock))
    assert not [module for module in changed.modules() if type(module) is nn.Linear]
    grid = torch.tensor([[1, 4, 6]] * rows)
    patches = torch.randn(24 * rows, 3 * 2 * 14 * 14)
    states = torch.randn(rows, 11, 32)

    def asked(model: Any) -> list[Tensor]:
        return [
            model.visual(patches, grid_thw=grid).pooler_output,
            model.language_model(inputs_embeds=states).last_hidden_state,
        ]

    assert gap(stock, changed, asked) < TOLERANCE


@needed
@pytest.mark.parametrize("rows", [1, 3])
def test_the_cross_model_of_mps_reads_as_the_stock_one(rows: int) -> None:
    stock = ready(CrossModel(24, 2, 3, 8, 31))
    changed = copy.deepcopy(stock)
    faster_on_cpu(changed, keep=(changed.last_projection,))
    tokens, text = torch.randn(rows, 10, 24), torch.randn(rows, 6, 24)
    visible = torch.rand(rows, 6) > 0.4
    assert gap(stock, changed, lambda model: [model(model.prepare(tokens), text, visible)]) < TOLERANCE
    assert type(changed.last_projection) is nn.Linear


@needed
def test_the_memory_of_the_stock_weights_is_free_again() -> None:
    model = clip()
    weights = [weakref.ref(layer.mlp.fc1.weight) for layer in model.vision_model.encoder.layers]
    weights += [weakref.ref(layer.self_attn.k_proj.weight) for layer in model.text_model.encoder.layers]
    assert all(weight() is not None for weight in weights)
    faster_clip(model)
    gc.collect()
    assert all(weight() is None for weight in weights)


@needed
def test_what_was_asked_to_stay_stays() -> None:
    model = clip()
    faster_clip(model)
    assert type(model.visual_projection) is nn.Linear
    assert type(model.text_projection) is nn.Linear


@pytest.mark.parametrize(
    "spoil",
    [lambda layer: layer.half(), lambda layer: layer.mlp.fc1.register_forward_hook(lambda *_: None)],
    ids=["half", "hooked"],
)
def test_layers_of_another_precision_or_with_hooks_stay(spoil: Callable[[nn.Module], object]) -> None:
    model = clip()
    for layer in model.vision_model.encoder.layers:
        spoil(layer)
    faster_clip(model)
    assert not any(isinstance(layer, EncoderLayer) for layer in model.vision_model.encoder.layers)
    assert type(model.vision_model.encoder.layers[0].mlp.fc1) is nn.Linear


class TestWithoutTheOperators:
    """Nothing changes where torch cannot do it."""

    def test_a_missing_operator(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(packed_linear, "_OPERATORS", ("_linear_pointwise", "_no_such_operator"))
        self._stays()

    def test_no_onednn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
        self._stays()

    def test_another_kind_of_cpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("platform.machine", lambda: "aarch64")
        self._stays()

    def _stays(self) -> None:
        stock = clip()
        changed = faster_clip(copy.deepcopy(stock))
        assert not available()
        assert exchanged(changed) == 0
        assert gap(stock, changed, of_clip(2)) == 0
