"""Dimension judges by SPEC: what is pinned, what is refused, and what a reader is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants
from judges.test_vision_language import SMALL, Naive, loaded, pictures
from judges.tiny_qwen3_vl import save_tiny_adapter, save_tiny_qwen3_vl
from weights.hub_server import COMMIT, Hub, serving

from aes_audit.errors import AesAuditError, InfrastructureError, ModelNotFound, UnknownName, UsageError
from aes_audit.judges import vision_language
from aes_audit.judges.endpoint_model import EndpointJudgeModel
from aes_audit.judges.guideline import Guideline, note_guideline
from aes_audit.judges.registry import ClassifierJudgeModel, resolve_judge
from aes_audit.judges.vision_language import PUBLISHED, QwenJudgeModel
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.weights.pinned import Weights
from aes_audit.weights.source import Source

MINE = '[clarity]\nlevels = [[1, "Sharp", "Crisp."], [-1, "Soft", "Blurred."]]\n'


def resolved(text: str, root: Path = Path("/")) -> QwenJudgeModel:
    """A SPEC that must mean a Qwen3-VL."""
    judge = resolve_judge(text, device="cpu", root=root)
    assert isinstance(judge, QwenJudgeModel)
    return judge


def test_a_folder_with_options_is_pinned_and_scores(tiny_qwen: Path) -> None:
    judge = resolved(f"{tiny_qwen}[size=64x96,order=image-first,dtype=float32]")
    assert judge.revision == judge.identity["weights"]["revision"]
    images = pictures(2)
    expected = loaded(tiny_qwen, "image-first", (64, 96)).score(images, DIMENSIONS)
    np.testing.assert_array_equal(judge.load().score(images, DIMENSIONS), expected)


def test_a_relative_folder_is_found_below_the_root(tiny_qwen: Path) -> None:
    assert resolved(f"./{tiny_qwen.name}", tiny_qwen.parent).identity == resolved(str(tiny_qwen)).identity


def test_the_paper_s_way_is_what_is_meant_without_options(tiny_qwen: Path) -> None:
    identity = resolved(str(tiny_qwen)).identity
    assert identity["guideline"] == {"sha256": Guideline.read().digest}
    assert identity["recipe"] == {
        "question": "text-first",
        "image": "squashed-512x512-bicubic",
        "dtype": "float32",
        "score": "p1+2p2 over the tokens 0, 1, 2",
    }
    assert json.loads(json.dumps(identity)) == identity


def test_whatever_changes_scores_changes_the_identity(tiny_qwen: Path, tiny_qwen_adapter: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINE)
    options = ["", "[size=64]", "[size=64x96]", "[order=image-first]", "[dtype=bfloat16]", "[guideline=mine.toml]"]
    specs = [f"{tiny_qwen}{option}" for option in options] + [f"{tiny_qwen}+lora={tiny_qwen_adapter}"]
    found = {json.dumps(resolved(spec, tmp_path).identity, sort_keys=True) for spec in specs}
    assert len(found) == len(specs)


def test_an_adapter_is_merged_for_good(tiny_qwen: Path, tiny_qwen_adapter: Path) -> None:
    from peft import PeftModel
    from transformers import Qwen3VLForConditionalGeneration

    images = pictures(2)
    judge = resolved(f"{tiny_qwen}[size=64x96]+lora={tiny_qwen_adapter}").load()
    assert not [name for name, _ in judge.model.named_parameters() if "lora" in name]
    base = Qwen3VLForConditionalGeneration.from_pretrained(tiny_qwen)
    with_adapter: Any = PeftModel.from_pretrained(base, str(tiny_qwen_adapter)).eval()
    found = judge.probabilities(images, DIMENSIONS)
    expected = Naive(with_adapter, tiny_qwen).probabilities(images, size=SMALL)
    np.testing.assert_allclose(found, expected, atol=5e-6)
    assert np.abs(found - loaded(tiny_qwen).probabilities(images, DIMENSIONS)).max() > 1e-2


def test_adapters_add_up(tiny_qwen: Path, tiny_qwen_adapter: Path, tmp_path: Path) -> None:
    second = save_tiny_adapter(tmp_path / "second", tiny_qwen, seed=2)
    one, two = (str(folder) for folder in (tiny_qwen_adapter, second))
    image = pictures(1)
    parts = (f"+lora={one}", f"+lora={two}", f"+lora={one}+lora={two}", f"+lora={two}+lora={one}")
    scores = [resolved(f"{tiny_qwen}[size=64]{part}").load().score(image, DIMENSIONS) for part in parts]
    np.testing.assert_allclose(scores[2], scores[3], atol=1e-5)
    assert min(np.abs(scores[2] - scores[n]).max() for n in (0, 1)) > 1e-3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"r": 2}, "has shape"),
        ({"target_modules": ["q_proj"]}, "no layer takes"),
        ({"target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "up_proj"]}, "it lacks"),
        ({"target_modules": ["nothing_of_the_kind"]}, "not found in the base model"),
        ({"peft_type": "IA3"}, "only LoRA can be merged"),
    ],
)
def test_an_adapter_of_another_model_is_refused(
    tiny_qwen: Path, tiny_qwen_adapter: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    adapter = Path(shutil.copytree(tiny_qwen_adapter, tmp_path / "adapter"))
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    judge = resolved(f"{tiny_qwen}+lora={adapter}")
    with pytest.raises(InfrastructureError, match=rf"^[^\n]*adapter[^\n]*{said}[^\n]*$"):
        judge.load()


def test_an_adapter_without_weights_is_refused(tiny_qwen: Path, tiny_qwen_adapter: Path, tmp_path: Path) -> None:
    adapter = Path(shutil.copytree(tiny_qwen_adapter, tmp_path / "adapter"))
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(InfrastructureError, match=rf"^adapter '{adapter}' cannot be loaded: "):
        resolved(f"{tiny_qwen}+lora={adapter}").load()


@pytest.mark.parametrize(
    ("option", "kind", "said"),
    [
        ("[size=0]", UsageError, "option size=0: give the pixels as N or WxH, each from 32 to 2048"),
        ("[size=64x]", UsageError, "option size=64x"),
        ("[size=native]", UsageError, "option size=native"),
        ("[order=both]", UsageError, "option order=both: choose text-first, image-first"),
        ("[dtype=int8]", UsageError, "option dtype=int8: choose float32, bfloat16, float16"),
        ("[steps=3]", UnknownName, "unknown option of a vision-language judge 'steps'"),
        ("[guideline=nothing.toml]", UsageError, "option guideline=nothing.toml: no such file"),
        ("[processor=nothing]", ModelNotFound, "'nothing' is neither a folder nor a hub id"),
        ("+lora=nothing", ModelNotFound, "'nothing' is neither a folder nor a hub id"),
        ("+lora=./nothing", ModelNotFound, "does not exist"),
        ("+negative=dull", UsageError, r"'\+negative=' belongs to generators"),
    ],
)
def test_what_a_spec_cannot_say_is_refused_by_name(
    tiny_qwen: Path, option: str, kind: type[AesAuditError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        resolve_judge(f"{tiny_qwen}{option}", device="cpu")


def test_a_classifier_and_a_vision_language_model_are_told_apart(tiny_judge: Path, tiny_qwen: Path) -> None:
    assert isinstance(resolve_judge(str(tiny_judge), device="cpu"), ClassifierJudgeModel)
    assert isinstance(resolve_judge(str(tiny_qwen), device="cpu"), QwenJudgeModel)
    assert isinstance(resolve_judge("openai:m@http://localhost:1/v1", device="cpu"), EndpointJudgeModel)
    with pytest.raises(UsageError, match="an image classifier takes neither options nor adapters"):
        resolve_judge(f"{tiny_judge}[size=64]", device="cpu")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "qwen2_5_vl", "architectures": ["Qwen2_5_VLModel"]}, r"is a qwen2_5_vl \(Qwen2_5_VLModel\)"),
        ({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}, r"is a llama \(LlamaForCausalLM\): a"),
        ({}, r"is a None \(of no class\)"),
        ([], r"config.json cannot be read"),
    ],
)
def test_models_of_another_kind_are_refused_by_name(tmp_path: Path, config: Any, said: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelNotFound, match=said):
        resolve_judge(str(tmp_path), device="cpu")


def test_weights_trained_on_another_guideline_are_marked(tiny_qwen: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_qwen, tmp_path / "trained"))
    (tmp_path / "mine.toml").write_text(MINE)
    assert resolved(str(folder)).warnings == ()
    note_guideline(folder, Guideline.read(tmp_path / "mine.toml"))
    (said,) = resolved(str(folder)).warnings
    assert "was trained on another guideline than the shipped one" in said
    assert resolved(f"{folder}[guideline=mine.toml]", tmp_path).warnings == ()


def test_the_published_weights_are_marked_unless_asked_with_their_guideline(tmp_path: Path, monkeypatch: Any) -> None:
    (repo,) = PUBLISHED
    (tmp_path / "mine.toml").write_text(MINE)
    weights = Weights(Source(repo=repo), "0" * 40)
    settings = vision_language.QwenSettings("bfloat16")
    judge = QwenJudgeModel(repo, weights, (), None, settings, Guideline.read(), "cpu")
    assert "J is not the trained judge's" in judge.warnings[0]
    own = Guideline.read(tmp_path / "mine.toml")
    monkeypatch.setitem(PUBLISHED, repo, (PUBLISHED[repo][0], own.digest))
    assert QwenJudgeModel(repo, weights, (), None, settings, own, "cpu").warnings == ()


def test_a_processor_of_its_own_is_used_and_must_fit(tiny_qwen: Path, tmp_path: Path) -> None:
    bare = Path(shutil.copytree(tiny_qwen, tmp_path / "bare"))
    for name in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "chat_template.jinja"):
        (bare / name).unlink()
    with pytest.raises(InfrastructureError, match=r"^judge folder .* cannot be (loaded|used)"):
        resolved(f"{bare}[size=64]").load()
    judge = resolved(f"{bare}[size=64,processor={tiny_qwen}]")
    np.testing.assert_array_equal(
        judge.load().score(pictures(1), DIMENSIONS),
        resolved(f"{tiny_qwen}[size=64]").load().score(pictures(1), DIMENSIONS),
    )
    other = Path(shutil.copytree(tiny_qwen, tmp_path / "other"))
    recipe = json.loads((other / "preprocessor_config.json").read_text())
    (other / "preprocessor_config.json").write_text(json.dumps({**recipe, "patch_size": 14}))
    with pytest.raises(InfrastructureError, match="its model has the patch size 16, the processor 14"):
        resolved(f"{bare}[processor={other}]").load()


def test_model_adapter_and_processor_from_the_hub_score_as_their_folders_do(
    tiny_qwen: Path, tiny_qwen_adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the published judge: weights without a tokenizer, which is that of the model that they were made from.
    bare = Path(shutil.copytree(tiny_qwen, tmp_path / "bare"))
    for name in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "chat_template.jinja"):
        (bare / name).unlink()
    repo, (base, _) = next(iter(PUBLISHED.items()))
    repos = {repo: bare, base: tiny_qwen, "tiny/adapter": tiny_qwen_adapter}
    with serving(Hub(repos=repos)) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
        judge = resolved(f"{repo}[size=64]+lora=tiny/adapter")
        assert not any(".safetensors" in request for request in hub.requests)
        assert judge.revision == f"{COMMIT}+{COMMIT}"
        assert judge.identity["processor"] == {"repo": base, "revision": COMMIT}
        assert "J is not the trained judge's" in judge.warnings[0]
        found = judge.load().score(pictures(1), DIMENSIONS)
        fetched = [request for request in hub.requests if "GET" in request and request.endswith(".safetensors")]
        assert len(fetched) == 2
        assert not any(base in request for request in fetched)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        again = resolved(f"{repo}[size=64]+lora=tiny/adapter")
        assert again.identity == judge.identity
        np.testing.assert_array_equal(again.load().score(pictures(1), DIMENSIONS), found)
    local = resolved(f"{tiny_qwen}[size=64]+lora={tiny_qwen_adapter}")
    np.testing.assert_array_equal(local.load().score(pictures(1), DIMENSIONS), found)


def test_an_answer_that_is_no_token_of_its_own_is_refused(tiny_qwen: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_qwen, tmp_path / "digits"))
    raw = json.loads((folder / "tokenizer.json").read_text())
    model = raw["model"]
    model["vocab"] = {token: number for token, number in model["vocab"].items() if "1" not in token}
    model["merges"] = [merge for merge in model["merges"] if not any("1" in part for part in merge)]
    (folder / "tokenizer.json").write_text(json.dumps(raw))
    with pytest.raises(InfrastructureError, match=r"its tokenizer writes '1' as 0 tokens"):
        loaded(folder)


@pytest.mark.parametrize(
    ("template", "said"),
    [("", "has no chat template"), ("{{ messages[0]['role'] }}", "makes 0 images of one image")],
)
def test_a_chat_template_that_shows_no_image_is_refused(
    tiny_qwen: Path, tmp_path: Path, template: str, said: str
) -> None:
    folder = Path(shutil.copytree(tiny_qwen, tmp_path / "mute"))
    (folder / "chat_template.jinja").unlink()
    if template:
        (folder / "chat_template.jinja").write_text(template)
    with pytest.raises(InfrastructureError, match=said):
        loaded(folder).score(pictures(1), DIMENSIONS)


def test_the_older_places_of_template_and_recipe_are_read(tiny_qwen: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_qwen, tmp_path / "older"))
    template, recipe = folder / "chat_template.jinja", folder / "preprocessor_config.json"
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": template.read_text()}))
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": json.loads(recipe.read_text())}))
    template.unlink()
    recipe.unlink()
    images = pictures(1)
    np.testing.assert_array_equal(loaded(folder).score(images, DIMENSIONS), loaded(tiny_qwen).score(images, DIMENSIONS))


def test_weights_that_are_not_there_are_not_made_up(tiny_qwen: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny_qwen, tmp_path / "headless"))
    kept = {name: value for name, value in load_file(folder / "model.safetensors").items() if "lm_head" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InfrastructureError, match=r"its weights lack lm_head\.weight"):
        loaded(folder)


def test_a_model_without_deeper_image_features_is_read_too(tmp_path: Path) -> None:
    folder = save_tiny_qwen3_vl(tmp_path / "flat", deep=())
    from transformers import Qwen3VLForConditionalGeneration

    naive = Naive(Qwen3VLForConditionalGeneration.from_pretrained(folder).eval(), folder)
    images = pictures(2)
    found = loaded(folder).probabilities(images, DIMENSIONS)
    np.testing.assert_allclose(found, naive.probabilities(images), atol=2e-6)
