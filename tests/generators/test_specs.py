"""What `--model` may say: the grammar, what it resolves to, and what a typo is answered with."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aes_audit.errors import ModelNotFound, UnknownName, UnsafeWeights, UsageError
from aes_audit.generators.resolve import DiffusersModel, resolve_generator
from aes_audit.generators.settings import Settings
from aes_audit.generators.spec import GeneratorSpec, parse_spec
from aes_audit.generators.zoo import ZOO

PART = st.from_regex(r"[\w./@~ -]{1,20}", fullmatch=True)
NAMES = st.from_regex(r"[A-Za-z][\w./@-]{0,15}", fullmatch=True)
WORDS = st.from_regex(r"[\w.]{1,8}", fullmatch=True)
TEXTS = st.text(min_size=1, max_size=30).filter(lambda text: not re.search(r"\+[a-z]+=", text))


def resolve(spec: str, root: Path, batch_size: int | None = None) -> DiffusersModel:
    """Pin a SPEC for the CPU."""
    return resolve_generator(spec, root=root, device="cpu", batch_size=batch_size)


@given(base=PART, loras=st.lists(PART, max_size=3))
def test_a_spec_reads_back_as_its_parts_in_order(base: str, loras: list[str]) -> None:
    text = "+lora=".join([base, *loras])
    assert parse_spec(text) == GeneratorSpec(text, base, tuple(loras))


@given(text=st.text(alphabet=st.sampled_from("ab[]=,+/@:.\n") | st.characters()))
def test_any_text_is_a_spec_or_a_usage_error_in_one_line(text: str) -> None:
    said = ""
    try:
        spec = parse_spec(text)
    except UsageError as error:
        said = str(error)
    else:
        assert spec.text == text
        assert text.startswith(spec.base)
        assert bool(spec.options) == (spec.head != spec.base)
    assert "\n" not in said


@given(
    base=NAMES,
    options=st.dictionaries(WORDS, WORDS, max_size=3),
    loras=st.lists(NAMES, max_size=2),
    transformer=st.none() | NAMES,
    negative=st.none() | TEXTS,
    seed=st.randoms(use_true_random=False),
)
def test_a_whole_spec_reads_back_as_its_parts_in_whatever_order_they_stand(
    base: str,
    options: dict[str, str],
    loras: list[str],
    transformer: str | None,
    negative: str | None,
    seed: random.Random,
) -> None:
    head = base + (f"[{','.join(f'{name}={value}' for name, value in options.items())}]" if options else "")
    others = {"transformer": transformer, "negative": negative}
    parts = [f"+lora={lora}" for lora in loras]
    for kind, value in others.items():
        if value is not None:
            parts.insert(seed.randint(0, len(parts)), f"+{kind}={value}")
    assume("@[" not in head and "/[" not in head)
    spec = parse_spec("".join([head, *parts]))
    assert spec == GeneratorSpec("".join([head, *parts]), base, tuple(loras), options, transformer, negative)
    assert spec.head == head


@given(text=TEXTS)
def test_a_negative_text_may_hold_anything_but_another_part(text: str) -> None:
    assert parse_spec(f"flux-dev+negative={text}").negative == text
    followed = parse_spec(f"flux-dev+negative={text}+lora=x")
    assert (followed.negative, followed.loras) == (text, ("x",))


@pytest.mark.parametrize(
    ("base", "options"),
    [
        ("gemini:gemini-2.5-flash-image", {}),
        ("openai:gpt-image-1@https://example.org/v1", {"price": "0.04"}),
        ("openai:m@http://[::1]", {}),
        ("openai:m@http://[::1]:8000/v1", {"price": "0"}),
        ("owner/name@refs/pr/1", {"steps": "4"}),
        ("my_package.models:fast", {}),
        ("./a[1]", {"steps": "4"}),
    ],
)
def test_options_are_the_last_bracket_and_no_part_of_the_base(base: str, options: dict[str, str]) -> None:
    text = base + (f"[{','.join(f'{name}={value}' for name, value in options.items())}]" if options else "")
    assert (parse_spec(text).base, dict(parse_spec(text).options)) == (base, options)


def test_a_folder_whose_name_ends_in_brackets_is_that_folder(tiny_pipeline: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_pipeline, tmp_path / "model[steps=3]")
    assert dict(resolve("./model[steps=3]", tmp_path).settings.call) != {"num_inference_steps": 3}
    model = resolve("./model[steps=3][steps=4]", tmp_path)
    assert model.weights.source.folder == tmp_path / "model[steps=3]"
    assert model.settings.call["num_inference_steps"] == 4


@given(text=st.text(max_size=30))
def test_any_text_that_names_no_model_is_a_usage_error(text: str) -> None:
    # A lone owner/name would ask the hub, which is another test's business.
    text = text.replace("/", "")
    with pytest.raises(UsageError):
        resolve(text, Path("/nowhere"))


def test_a_plus_that_begins_no_part_belongs_to_the_name() -> None:
    assert parse_spec("./a+b+lora=c+d").loras == ("c+d",)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "model '' names no base model: write control/faithful, ./my-model or owner/name."),
        ("+lora=x", "model '+lora=x' names no base model: write BASE+lora=ADAPTER."),
        ("x+lora=", "model 'x+lora=' names no adapter after '+lora=': give a folder or a hub id."),
        (
            "x+lor=y",
            "unknown model part '+lor='. Did you mean '+lora='? Known: +lora=, +negative=, +transformer=.",
        ),
        (
            "x+transformer=",
            "model 'x+transformer=' names no weights after '+transformer=': give a folder, a .safetensors file or a "
            "hub id.",
        ),
        ("x+negative=", "model 'x+negative=' says nothing after '+negative=': write what the images should not show."),
        ("x+negative=a+negative=b", "model 'x+negative=a+negative=b' says '+negative=' twice: say it once."),
        ("x[]", "model 'x[]': '' is no option; write [name=value], several with commas."),
        ("x[steps]", "model 'x[steps]': 'steps' is no option; write [name=value], several with commas."),
        ("x[steps=1,steps=2]", "model 'x[steps=1,steps=2]' says 'steps' twice: say it once."),
    ],
)
def test_a_broken_spec_is_answered_in_one_line(text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_spec(text)
    assert str(raised.value) == complaint


def test_an_unknown_name_lists_what_exists_and_guesses(tmp_path: Path) -> None:
    with pytest.raises(UnknownName) as raised:
        resolve("control/faithfull", tmp_path)
    message = str(raised.value)
    assert message.startswith("unknown model 'control/faithfull'. Did you mean 'control/faithful'?")
    assert all(name in message for name in ZOO)
    assert message.endswith("Or give a folder, or a hub id as owner/name[@revision].")


def test_a_control_is_never_looked_for_on_the_hub(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown model 'control/nothing'"):
        resolve("control/nothing", tmp_path)


def test_a_zoo_name_lends_its_adapters_before_those_that_are_appended(
    tiny_pipeline: Path, tiny_lora: Path, other_lora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aes_audit.generators.zoo import ZooEntry
    from aes_audit.weights.source import Source

    monkeypatch.setitem(ZOO, "tuned", ZooEntry(Source(tiny_pipeline), (Source(tiny_lora),)))
    model = resolve(f"tuned+lora={other_lora}", tmp_path)
    assert [lora.source.folder for lora in model.loras] == [tiny_lora, other_lora]
    assert model.name == f"tuned+lora={other_lora}"


def test_a_relative_folder_is_looked_for_at_the_root(tiny_pipeline: Path, tiny_lora: Path) -> None:
    root = tiny_pipeline.parent
    shutil.copytree(tiny_lora, root / "beside", dirs_exist_ok=True)
    for spec in (f"{tiny_pipeline.name}+lora=beside", f"./{tiny_pipeline.name}+lora=./beside"):
        model = resolve(spec, root)
        assert model.name == spec
        assert [lora.source.folder for lora in model.loras] == [root / "beside"]


def test_an_adapter_of_no_kind_is_answered_in_one_line(tiny_pipeline: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"^adapter 'pretty' is neither a folder nor a hub id: .*$"):
        resolve(f"{tiny_pipeline}+lora=pretty", tmp_path)
    with pytest.raises(ModelNotFound, match=r"^adapter folder '.*' holds neither .* nor adapter_config\.json: .*$"):
        resolve(f"{tiny_pipeline}+lora={tmp_path}", tmp_path)


def test_a_folder_without_an_index_is_no_pipeline(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"^model folder '.*' holds no model_index\.json: .*$"):
        resolve(".", tmp_path)


@pytest.mark.parametrize("index", ["", "{", "[]", "{}", "3", "null", '{"_class_name": ["a", "b"]}', "\udc80"])
def test_a_folder_with_a_broken_index_is_refused_before_anything_is_loaded(tmp_path: Path, index: str) -> None:
    (tmp_path / "model_index.json").write_bytes(index.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelNotFound, match=r"^.*model_index\.json.*$") as raised:
        resolve(".", tmp_path)
    assert "\n" not in str(raised.value)


def test_a_pipeline_of_pickles_is_refused(tiny_pipeline: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_pipeline, tmp_path / "model"))
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(UnsafeWeights, match=r"^.*vae/diffusion_pytorch_model\.bin can run code when loaded: .*$"):
        resolve(str(folder), tmp_path)


class TestSettings:
    """The file aes_audit.json beside a model."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """A folder that passes for a pipeline until it is loaded."""
        (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusion3Pipeline"}')
        return tmp_path

    def test_without_a_file_the_pipelines_defaults_hold(self, folder: Path) -> None:
        model = resolve(".", folder)
        assert (model.settings, model.dtype, model.batch_size) == (Settings(), "float32", 1)

    def test_what_the_file_says_holds_and_a_user_may_choose_another_batch_size(self, folder: Path) -> None:
        said = {"call": {"guidance_scale": 2.5}, "dtype": "bfloat16", "batch_size": 6}
        (folder / "aes_audit.json").write_text(json.dumps(said))
        model = resolve(".", folder)
        assert (dict(model.settings.call), model.dtype, model.batch_size) == ({"guidance_scale": 2.5}, "bfloat16", 6)
        assert resolve(".", folder, batch_size=2).batch_size == 2

    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            ("{", "cannot be read as JSON"),
            ("\udc80", "cannot be read as JSON"),
            ('{"call": {"guidance_scale": NaN}}', "NaN is not JSON"),
            ("[]", "may hold batch_size, call, dtype, variant and nothing else"),
            ('{"steps": 3}', "may hold batch_size, call, dtype, variant and nothing else"),
            ('{"call": [1]}', "`call` is an object"),
            ('{"call": null}', "`call` is an object"),
            ('{"dtype": "int8"}', "dtype 'int8' is not one of float32, bfloat16, float16"),
            ('{"dtype": []}', "dtype [] is not one of"),
            ('{"variant": "../fp16"}', "variant '../fp16' is not a word such as fp16"),
            ('{"batch_size": 0}', "batch_size 0 is not a whole number of 1 or more"),
            ('{"batch_size": "4"}', "batch_size '4' is not a whole number"),
            ('{"batch_size": true}', "batch_size True is not a whole number"),
            ('{"batch_size": 1.5}', "batch_size 1.5 is not a whole number"),
            ('{"call": {"generator": 1}}', "`call` may not hold generator"),
            ('{"call": {"num_images_per_prompt": 2}}', "`call` may not hold num_images_per_prompt"),
        ],
    )
    def test_a_fault_in_the_file_is_one_line_with_its_name(self, folder: Path, content: str, complaint: str) -> None:
        (folder / "aes_audit.json").write_bytes(content.encode("utf-8", "surrogateescape"))
        with pytest.raises(ModelNotFound) as raised:
            resolve(".", folder)
        assert str(folder / "aes_audit.json") in str(raised.value)
        assert complaint in str(raised.value)
        assert "\n" not in str(raised.value)
