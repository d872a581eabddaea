"""What is put together before anything is drawn: adapters, another transformer, one precision, and no foreign code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from accelerate import init_empty_weights  # type: ignore[import-untyped]
from generators.tiny_pipelines import PIPELINES, flux_transformer, save_flux, save_sd3
from numpy.typing import NDArray
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from aes_audit.errors import InfrastructureError, ModelNotFound, UnsafeWeights
from aes_audit.generators.pipeline import DiffusersGenerator
from aes_audit.generators.protocol import ImageRequest
from aes_audit.generators.resolve import resolve_generator
from aes_audit.generators.transformer_override import load_transformer

REQUEST = ImageRequest("a cat", 1)
PEFT = "adapter_model.safetensors"
ONE_FILE = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`saved(kind)`: the folder of a tiny pipeline, written once; copy it before changing it."""
    folders: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in folders:
            folders[kind] = PIPELINES[kind](tmp_path_factory.mktemp("pipelines") / kind)
        return folders[kind]

    return folder


@pytest.fixture(scope="module")
def flux(saved: Callable[[str], Path]) -> Path:
    """A Flux folder."""
    return saved("flux")


@pytest.fixture(scope="module")
def peft_adapter(flux: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEFT adapter for `flux`."""
    return save_peft(flux, tmp_path_factory.mktemp("adapters") / "peft")


def load(spec: Path | str) -> DiffusersGenerator:
    """A loaded generator."""
    return resolve_generator(str(spec), root=Path("/nowhere"), device="cpu", batch_size=1).load()


def draw(generator: DiffusersGenerator) -> NDArray[np.int16]:
    """Pixels of one request, wide enough to be subtracted."""
    (image,) = generator.generate([REQUEST])
    return np.asarray(image).astype(np.int16)


def denoiser(folder: Path) -> tuple[str, Any]:
    """Name and module of what adapters belong to, as saved."""
    name = "unet" if (folder / "unet").is_dir() else "transformer"
    kind = json.loads((folder / "model_index.json").read_text())[name][1]
    return name, getattr(diffusers, kind).from_pretrained(folder / name)


def wrapped(folder: Path, seed: int = 7) -> PeftModel:
    """The denoiser with an adapter that changes what is drawn."""
    torch.manual_seed(seed)
    config = LoraConfig(r=2, lora_alpha=400, target_modules=["to_q", "to_v"], init_lora_weights=False)
    model = get_peft_model(denoiser(folder)[1], config)
    assert isinstance(model, PeftModel)
    return model


def save_peft(folder: Path, adapter: Path) -> Path:
    """The adapter of `wrapped` as PEFT saves it."""
    wrapped(folder).save_pretrained(str(adapter))
    return adapter


def save_diffusers(folder: Path, adapter: Path) -> Path:
    """The adapter of `wrapped` as diffusers saves it."""
    name, _ = denoiser(folder)
    kind = getattr(diffusers, json.loads((folder / "model_index.json").read_text())["_class_name"])
    layers = get_peft_model_state_dict(wrapped(folder))
    layers = {key.removeprefix("base_model.model."): tensor for key, tensor in layers.items()}
    config = {f"{name}_lora_adapter_metadata": {"r": 2, "lora_alpha": 400, "target_modules": ["to_q", "to_v"]}}
    kind.save_lora_weights(adapter, **{f"{name}_lora_layers": layers}, **config)
    return adapter


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole Flux folder with another transformer and the same everything else."""
    folder = save_flux(tmp_path_factory.mktemp("pipelines") / "other")
    torch.manual_seed(5)
    flux_transformer().save_pretrained(folder / "transformer")
    return folder


class TestAdapters:
    """Both layouts are merged into the weights; what does not fit is refused."""

    @pytest.mark.parametrize("kind", PIPELINES)
    def test_both_layouts_of_one_adapter_draw_what_peft_draws_with_it_attached(
        self, saved: Callable[[str], Path], tmp_path: Path, kind: str
    ) -> None:
        folder = saved(kind)
        reference = load(folder)
        plain = draw(reference)
        setattr(reference.pipeline, denoiser(folder)[0], wrapped(folder).base_model.model)
        attached = draw(reference)
        assert abs(attached - plain).max() > 5, "the adapter changes the image"
        for save in (save_peft, save_diffusers):
            drawer = load(f"{folder}+lora={save(folder, tmp_path / save.__name__)}")
            assert abs(draw(drawer) - attached).max() <= 1
            parameters = dict(getattr(drawer.pipeline, denoiser(folder)[0]).named_parameters())
            assert not any("lora" in name for name in parameters), "merged, not attached"

    def test_two_layouts_add_up(self, flux: Path, peft_adapter: Path, tmp_path: Path) -> None:
        other = save_diffusers(flux, tmp_path / "other")

        def weight(loras: str) -> torch.Tensor:
            tensor: torch.Tensor = load(f"{flux}{loras}").pipeline.transformer.transformer_blocks[0].attn.to_q.weight
            return tensor.detach()

        base, one = weight(""), weight(f"+lora={peft_adapter}")
        both = weight(f"+lora={peft_adapter}+lora={other}")
        torch.testing.assert_close(both - base, 2 * (one - base))

    @pytest.mark.parametrize("change", ["lost", "more", "renamed", "other size"])
    def test_a_peft_adapter_of_which_a_weight_does_not_fit_is_refused_by_name(
        self, flux: Path, peft_adapter: Path, tmp_path: Path, change: str
    ) -> None:
        folder = Path(shutil.copytree(peft_adapter, tmp_path / "adapter"))
        tensors = load_file(folder / PEFT)
        first = min(tensors)
        changed = {
            "lost": {name: tensor for name, tensor in tensors.items() if name != first},
            "more": {**tensors, "base_model.model.nonsense.lora_A.weight": torch.ones(2, 2)},
            "renamed": {name.replace("to_q", "to_nothing"): tensor for name, tensor in tensors.items()},
            "other size": {**tensors, first: torch.ones(2, 3)},
        }[change]
        save_file(changed, folder / PEFT)
        with pytest.raises(InfrastructureError, match=r"^[^\n]* the transformer of the model: [^\n]*lora_A[^\n]*$"):
            load(f"{flux}+lora={folder}")

    def test_a_peft_adapter_for_layers_that_the_model_has_not_is_refused(
        self, flux: Path, peft_adapter: Path, tmp_path: Path
    ) -> None:
        folder = Path(shutil.copytree(peft_adapter, tmp_path / "adapter"))
        config = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps({**config, "target_modules": ["q_proj"]}))
        with pytest.raises(InfrastructureError, match=r"^[^\n]*q_proj[^\n]*$"):
            load(f"{flux}+lora={folder}")


class TestTransformer:
    """Another transformer in place of the pipeline's own."""

    @pytest.mark.parametrize("what", ["", "/transformer", f"/transformer/{ONE_FILE}"])
    def test_pipeline_folder_and_single_file_give_the_same_images(self, flux: Path, other: Path, what: str) -> None:
        image = draw(load(f"{flux}+transformer={other}{what}"))
        assert np.array_equal(image, draw(load(other)))
        assert not np.array_equal(image, draw(load(flux)))

    def test_the_transformer_that_is_replaced_need_not_be_there(self, flux: Path, other: Path, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(flux, tmp_path / "base"))
        (folder / "transformer" / ONE_FILE).unlink()
        image = draw(load(f"{folder}+transformer={other}"))
        assert np.array_equal(image, draw(load(other)))

    def test_an_adapter_goes_onto_the_other_transformer(self, flux: Path, other: Path, peft_adapter: Path) -> None:
        image = draw(load(f"{flux}+transformer={other}+lora={peft_adapter}"))
        assert np.array_equal(image, draw(load(f"{other}+lora={peft_adapter}")))

    @pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
    def test_a_file_in_the_original_layout_gives_the_same_images(self, tmp_path: Path, prefix: str) -> None:
        base, other = save_sd3(tmp_path / "base"), save_sd3(tmp_path / "other", seed=1)
        tensors = original_sd3(load_file(other / "transformer" / ONE_FILE))
        file = tmp_path / "original.safetensors"
        save_file({f"{prefix}{name}": tensor.contiguous() for name, tensor in tensors.items()}, file)
        weights = load(f"{base}+transformer={file}").pipeline.transformer.state_dict()
        expected = load_file(other / "transformer" / ONE_FILE)
        assert weights.keys() == expected.keys()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in weights.items())

    @pytest.mark.heavy
    def test_a_flux_file_in_the_original_layout_is_taken_apart_weight_by_weight(
        self, flux: Path, tmp_path: Path
    ) -> None:
        """One block of either kind in the published width, which the original packing presupposes."""
        wide = {"num_attention_heads": 24, "attention_head_dim": 128, "axes_dims_rope": (16, 56, 56)}
        config = {**diffusers.FluxTransformer2DModel.load_config(flux / "transformer"), **wide}
        with init_empty_weights():
            model = diffusers.FluxTransformer2DModel.from_config(config)
        base = Path(shutil.copytree(flux, tmp_path / "base"))
        (base / "transformer" / "config.json").write_text(json.dumps(dict(model.config)))
        torch.manual_seed(0)
        expected = {name: torch.rand(tensor.shape, dtype=torch.bfloat16) for name, tensor in model.state_dict().items()}
        file = tmp_path / "original.safetensors"
        save_file(original_flux(expected), file)
        weights = load_transformer(tmp_path, base, torch.bfloat16, file=file.name).state_dict()
        assert weights.keys() == expected.keys()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in weights.items())

    @pytest.mark.parametrize("layout", ["diffusers", "original"])
    @pytest.mark.parametrize("change", ["missing", "unexpected", "other size"])
    def test_a_file_that_does_not_fit_is_refused_by_the_name_of_a_weight(
        self, tmp_path: Path, layout: str, change: str
    ) -> None:
        base = save_sd3(tmp_path / "base")
        tensors = load_file(base / "transformer" / ONE_FILE)
        tensors = original_sd3(tensors) if layout == "original" else tensors
        victim = "proj_out.bias" if layout == "diffusers" else "final_layer.linear.bias"
        if change == "missing":
            del tensors[victim]
        else:
            tensors[victim if change == "other size" else "nonsense.weight"] = torch.ones(3)
        file = tmp_path / "file.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
        name = "nonsense.weight" if change == "unexpected" else rf"{victim}|proj_out.bias"
        with pytest.raises(InfrastructureError, match=rf"^[^\n]*'({name})'[^\n]*$"):
            load(f"{base}+transformer={file}")

    @pytest.mark.parametrize("change", ["missing", "unexpected"])
    def test_a_folder_that_does_not_fit_its_own_configuration_is_refused(
        self, flux: Path, other: Path, tmp_path: Path, change: str
    ) -> None:
        folder = Path(shutil.copytree(other / "transformer", tmp_path / "transformer"))
        tensors = load_file(folder / ONE_FILE)
        del tensors["proj_out.bias"]
        more = {} if change == "missing" else {"proj_out.bias": torch.ones(16), "nonsense": torch.ones(1)}
        save_file({**tensors, **more}, folder / ONE_FILE, metadata={"format": "pt"})
        name = "proj_out.bias" if change == "missing" else "nonsense"
        with pytest.raises(InfrastructureError, match=rf"^[^\n]*'{name}' is {change}[^\n]*$"):
            load(f"{flux}+transformer={folder}")

    def test_a_transformer_of_another_architecture_is_refused(self, flux: Path, saved: Callable[[str], Path]) -> None:
        with pytest.raises(
            InfrastructureError, match="holds a SD3Transformer2DModel where the pipeline wants a FluxTransformer2DModel"
        ):
            load(f"{flux}+transformer={saved('sd3')}")


class TestVariant:
    """fp16 files beside the plain ones."""

    @pytest.fixture
    def both(self, flux: Path, tmp_path: Path) -> Path:
        """A folder whose transformer has other weights in its fp16 file."""
        folder = Path(shutil.copytree(flux, tmp_path / "both"))
        torch.manual_seed(9)
        flux_transformer().half().save_pretrained(folder / "transformer", variant="fp16")
        return folder

    def with_settings(self, folder: Path, **more: str) -> Path:
        """The folder with other settings beside it."""
        file = folder / "aes_audit.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **more}))
        return folder

    def test_the_variant_is_read_where_there_is_one_and_the_plain_files_elsewhere(self, both: Path) -> None:
        plain = load(both).pipeline
        varied = load(self.with_settings(both, variant="fp16", dtype="float16")).pipeline
        expected = load_file(both / "transformer" / "diffusion_pytorch_model.fp16.safetensors")
        assert torch.equal(varied.transformer.proj_out.bias, expected["proj_out.bias"])
        assert not torch.equal(plain.transformer.proj_out.bias, expected["proj_out.bias"].float())
        assert varied.vae.dtype == torch.float16

    def test_a_variant_that_no_component_has_is_one_line(self, flux: Path, tmp_path: Path) -> None:
        folder = self.with_settings(Path(shutil.copytree(flux, tmp_path / "plain")), variant="bf16")
        with pytest.raises(ModelNotFound, match=rf"^{folder} has no bf16 weight files: [^\n]*$"):
            load(folder)


class TestForeignCode:
    """Code that comes with weights is never run."""

    def changed(self, flux: Path, tmp_path: Path, **entries: Any) -> Path:
        """A copy of the folder with other entries in its index, and with the code that they name."""
        folder = Path(shutil.copytree(flux, tmp_path / "custom"))
        index = json.loads((folder / "model_index.json").read_text())
        (folder / "model_index.json").write_text(json.dumps({**index, **entries}))
        for room in (folder, folder / "transformer"):
            (room / "evil.py").write_text(f"open({str(tmp_path / 'was_run')!r}, 'w').close()\nclass Evil: ...\n")
        return folder

    def test_a_component_of_a_module_beside_its_weights_is_refused(self, flux: Path, tmp_path: Path) -> None:
        folder = self.changed(flux, tmp_path, transformer=["evil", "Evil"])
        with pytest.raises(UnsafeWeights, match=r"brings its own code \(transformer is Evil of evil\.py\)"):
            load(folder)
        assert not (tmp_path / "was_run").exists()

    def test_a_pipeline_class_of_a_module_of_the_folder_is_refused(self, flux: Path, tmp_path: Path) -> None:
        folder = self.changed(flux, tmp_path, _class_name=["evil", "Evil"])
        with pytest.raises((UnsafeWeights, ModelNotFound), match=r"^[^\n]*Evil|evil[^\n]*$"):
            load(folder)
        assert not (tmp_path / "was_run").exists()

    def test_a_component_of_another_library_is_refused(self, flux: Path, tmp_path: Path) -> None:
        folder = self.changed(flux, tmp_path, transformer=["antigravity", "Evil"])
        with pytest.raises(InfrastructureError, match="transformer is Evil of 'antigravity'"):
            load(folder)


def original_sd3(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of a diffusers SD3 transformer under the names and in the packing of the original release."""
    embedders = {
        "pos_embed.pos_embed": "pos_embed",
        "pos_embed.proj": "x_embedder.proj",
        "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
        "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
        "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
        "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
        "proj_out": "final_layer.linear",
        "norm_out.linear": "final_layer.adaLN_modulation.1",
    }
    inside = {
        "attn.to_out.0": "x_block.attn.proj",
        "attn.to_add_out": "context_block.attn.proj",
        "norm1.linear": "x_block.adaLN_modulation.1",
        "norm1_context.linear": "context_block.adaLN_modulation.1",
        "ff.net.0.proj": "x_block.mlp.fc1",
        "ff.net.2": "x_block.mlp.fc2",
        "ff_context.net.0.proj": "context_block.mlp.fc1",
        "ff_context.net.2": "context_block.mlp.fc2",
    }
    last = max(int(name.split(".")[1]) for name in tensors if name.startswith("transformer_blocks."))
    # The original normalises last with shift before scale, diffusers with scale before shift.
    swapped = ("norm_out.linear", f"transformer_blocks.{last}.norm1_context.linear")
    found: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        stem, _, part = name.rpartition(".")
        value = torch.cat(tensor.chunk(2)[::-1]) if stem in swapped else tensor
        if name.startswith("transformer_blocks."):
            _, number, layer = stem.split(".", 2)
            if layer in inside:
                found[f"joint_blocks.{number}.{inside[layer]}.{part}"] = value
            for block, names in (("x", "to_{}"), ("context", "add_{}_proj")):
                if layer == f"attn.{names.format('q')}":
                    packed = [tensors[f"transformer_blocks.{number}.attn.{names.format(key)}.{part}"] for key in "qkv"]
                    found[f"joint_blocks.{number}.{block}_block.attn.qkv.{part}"] = torch.cat(packed)
        else:
            found[f"{embedders.get(stem, stem)}.{part}" if name not in embedders else embedders[name]] = value
    return found


def original_flux(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of a diffusers Flux transformer under the names and in the packing of the original release."""
    named = {
        "x_embedder": "img_in",
        "context_embedder": "txt_in",
        "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
        "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
        "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
        "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
        "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
        "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
        "transformer_blocks.0.norm1.linear": "double_blocks.0.img_mod.lin",
        "transformer_blocks.0.norm1_context.linear": "double_blocks.0.txt_mod.lin",
        "transformer_blocks.0.attn.to_out.0": "double_blocks.0.img_attn.proj",
        "transformer_blocks.0.attn.to_add_out": "double_blocks.0.txt_attn.proj",
        "transformer_blocks.0.attn.norm_q": "double_blocks.0.img_attn.norm.query_norm",
        "transformer_blocks.0.attn.norm_k": "double_blocks.0.img_attn.norm.key_norm",
        "transformer_blocks.0.attn.norm_added_q": "double_blocks.0.txt_attn.norm.query_norm",
        "transformer_blocks.0.attn.norm_added_k": "double_blocks.0.txt_attn.norm.key_norm",
        "transformer_blocks.0.ff.net.0.proj": "double_blocks.0.img_mlp.0",
        "transformer_blocks.0.ff.net.2": "double_blocks.0.img_mlp.2",
        "transformer_blocks.0.ff_context.net.0.proj": "double_blocks.0.txt_mlp.0",
        "transformer_blocks.0.ff_context.net.2": "double_blocks.0.txt_mlp.2",
        "single_transformer_blocks.0.norm.linear": "single_blocks.0.modulation.lin",
        "single_transformer_blocks.0.attn.norm_q": "single_blocks.0.norm.query_norm",
        "single_transformer_blocks.0.attn.norm_k": "single_blocks.0.norm.key_norm",
        "single_transformer_blocks.0.proj_out": "single_blocks.0.linear2",
        "proj_out": "final_layer.linear",
        "norm_out.linear": "final_layer.adaLN_modulation.1",
    }
    packed = {
        "double_blocks.0.img_attn.qkv": [f"transformer_blocks.0.attn.to_{key}" for key in "qkv"],
        "double_blocks.0.txt_attn.qkv": [f"transformer_blocks.0.attn.add_{key}_proj" for key in "qkv"],
        "single_blocks.0.linear1": [
            *(f"single_transformer_blocks.0.attn.to_{key}" for key in "qkv"),
            "single_transformer_blocks.0.proj_mlp",
        ],
    }
    found: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        stem, _, part = name.rpartition(".")
        if stem in named:
            swapped = torch.cat(tensor.chunk(2)[::-1]) if stem == "norm_out.linear" else tensor
            found[f"{named[stem]}.{'scale' if named[stem].endswith('_norm') else part}"] = swapped
    for name, stems in packed.items():
        for part in ("weight", "bias"):
            found[f"{name}.{part}"] = torch.cat([tensors[f"{stem}.{part}"] for stem in stems])
    return found
