"""What `--model` may say: the grammar, what it resolves to, and what a typo is answered with."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL.Image import Image

from aes_audit.errors import ModelNotFound, UnknownName, UnsafeWeights, UsageError
from aes_audit.generators.protocol import ImageRequest
from aes_audit.generators.registry import resolve_model
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
        ("", "model '' names no base model: write BASE+lora=ADAPTER."),
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


@pytest.mark.parametrize("layout", ["adapter_config.json", "pytorch_lora_weights.safetensors"])
def test_an_adapter_may_have_either_layout(tiny_pipeline: Path, tmp_path: Path, layout: str) -> None:
    (tmp_path / layout).write_bytes(b"{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    (lora,) = resolve(f"{tiny_pipeline}+lora={tmp_path}", tmp_path).loras
    assert lora.source.folder == tmp_path


def test_an_adapter_of_pickles_is_refused(tiny_pipeline: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.bin").write_bytes(b"")
    with pytest.raises(UnsafeWeights, match=r"adapter_model\.bin can run code"):
        resolve(f"{tiny_pipeline}+lora={tmp_path}", tmp_path)


class TestTransformer:
    """What `+transformer=` may name."""

    FILE = "transformer/diffusion_pytorch_model.safetensors"

    def test_a_pipeline_lends_its_transformer(self, tiny_pipeline: Path, tmp_path: Path) -> None:
        whole, part = (
            resolve(f"{tiny_pipeline}+transformer={folder}", tmp_path).transformer
            for folder in (tiny_pipeline, tiny_pipeline / "transformer")
        )
        assert whole == part
        assert whole is not None
        assert (whole.weights.source.folder, whole.file, whole.subfolder) == (tiny_pipeline / "transformer", None, None)

    def test_one_file_counts_by_its_content_alone(self, tiny_pipeline: Path, tmp_path: Path) -> None:
        shutil.copy(tiny_pipeline / self.FILE, tmp_path / "tuned.safetensors")
        there = resolve(f"{tiny_pipeline}+transformer={tiny_pipeline / self.FILE}", tmp_path)
        here = resolve(f"{tiny_pipeline}+transformer=tuned.safetensors", tmp_path)
        assert here.transformer is not None
        assert here.transformer.file == "tuned.safetensors"
        assert here.identity == there.identity
        (tmp_path / "tuned.safetensors").write_bytes(b"other")
        assert resolve(here.name, tmp_path).identity != there.identity

    def test_the_hub_lends_a_repository_a_folder_or_a_file_of_one_commit(
        self, tiny_pipeline: Path, tmp_path: Path
    ) -> None:
        commit, said = "a" * 40, []
        for inside in ("", "/transformer", "/a/b/tuned.safetensors"):
            override = resolve(f"{tiny_pipeline}+transformer=owner/name{inside}@{commit}", tmp_path).transformer
            assert override is not None
            assert (override.weights.source.repo, override.weights.revision) == ("owner/name", commit)
            said.append((override.subfolder, override.file))
        assert said == [(None, None), ("transformer", None), (None, "a/b/tuned.safetensors")]

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [
            ("pretty", r"^transformer 'pretty' is no folder, no file and no hub id: .*$"),
            ("weights/gone.safetensors", r"^transformer 'weights/gone\.safetensors' is no folder, .*$"),
            ("./gone.safetensors", r"^model folder '.*gone\.safetensors' does not exist: .*$"),
            (".", r"^model folder '.*' holds no config\.json: .*$"),
        ],
    )
    def test_what_is_none_is_answered_in_one_line(
        self, tiny_pipeline: Path, tmp_path: Path, text: str, complaint: str
    ) -> None:
        with pytest.raises(ModelNotFound, match=complaint):
            resolve(f"{tiny_pipeline}+transformer={text}", tmp_path)

    def test_a_file_of_pickles_is_refused(self, tiny_pipeline: Path, tmp_path: Path) -> None:
        (tmp_path / "tuned.ckpt").write_bytes(b"")
        with pytest.raises(UnsafeWeights, match=r"^transformer 'tuned\.ckpt' may run code when loaded: .*$"):
            resolve(f"{tiny_pipeline}+transformer=tuned.ckpt", tmp_path)


class TestOptions:
    """What may stand in brackets."""

    def test_options_reach_the_call_under_the_names_that_pipelines_take(self, tiny_pipeline: Path) -> None:
        plain = resolve(str(tiny_pipeline), tiny_pipeline).settings
        model = resolve(f"{tiny_pipeline}[steps=7, guidance=2, size=32x16, dtype=float16]", tiny_pipeline)
        chosen = {"num_inference_steps": 7, "guidance_scale": 2.0, "width": 32, "height": 16}
        assert dict(model.settings.call) == {**plain.call, **chosen}
        assert isinstance(model.settings.call["guidance_scale"], float)
        assert model.dtype == "float16"
        assert resolve(f"{tiny_pipeline}[size=32]", tiny_pipeline).settings.call["width"] == 32

    def test_a_negative_text_reaches_the_call_and_is_remembered(self, tiny_pipeline: Path) -> None:
        model = resolve(f"{tiny_pipeline}+negative=bright, pretty", tiny_pipeline)
        assert model.settings.call["negative_prompt"] == model.settings.negative == "bright, pretty"

    def test_saying_what_holds_anyway_changes_no_image(self) -> None:
        commit = "3de623fc3c33e44ffbe2bad470d0f45bccf2eb21"
        same = ["flux-dev", "flux-dev[steps=50,guidance=3.5,size=1024]", f"black-forest-labs/FLUX.1-dev@{commit}"]
        first, *others = (resolve(spec, Path("/nowhere")).identity for spec in [*same, f"flux-dev@{commit}"])
        assert all(other == first for other in others)
        assert resolve("flux-dev[recipe=paper]", Path("/nowhere")).identity != first

    def test_a_wanted_recipe_holds_for_names_that_say_none(self) -> None:
        def steps(spec: str) -> int:
            model = resolve_generator(spec, root=Path("/nowhere"), device="cpu", recipe="paper")
            return int(model.settings.call["num_inference_steps"])

        assert [steps(spec) for spec in ("flux-dev", "flux-dev[recipe=default]", "flux-dev[steps=9]")] == [32, 50, 9]
        assert steps("control/faithful") == 12

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            ("step=3", "unknown option of '.*'. Did you mean 'steps'? Known: "),
            ("price=3", "unknown option of '.*'. Known: "),
            ("steps=0", "steps=0 is not a whole number from 1 to 9999."),
            ("steps=3.5", "steps=3.5 is not a whole number"),
            ("steps=٣", "steps=٣ is not a whole number"),
            ("guidance=-1", "guidance=-1 is not a number of 0 or more."),
            ("guidance=nan", "guidance=nan is not a number of 0 or more."),
            ("guidance=1e999", "guidance=1e999 is not a number"),
            ("size=100", "size=100 is not N or WIDTHxHEIGHT in multiples of 8 pixels."),
            ("size=0x8", "size=0x8 is not N or"),
            ("size=8x8x8", "size=8x8x8 is not N or"),
            ("dtype=fp16", "unknown dtype of '.*'. .*Known: bfloat16, float16, float32."),
            ("recipe=paper", "only names of the zoo have recipes"),
        ],
    )
    def test_a_broken_option_is_answered_in_one_line(self, tiny_pipeline: Path, options: str, complaint: str) -> None:
        with pytest.raises(UsageError) as raised:
            resolve(f"{tiny_pipeline}[{options}]", tiny_pipeline)
        assert re.search(complaint.replace("?", r"\?").replace("٣", "."), str(raised.value))
        assert "\n" not in str(raised.value)

    def test_an_unknown_recipe_lists_the_two(self) -> None:
        with pytest.raises(
            UnknownName, match=r"^unknown recipe of 'flux-dev\[recipe=papers\]' 'papers'\. Did you mean"
        ):
            resolve("flux-dev[recipe=papers]", Path("/nowhere"))

    @pytest.mark.parametrize("spec", ["control/faithful@main", "nano-banana@main"])
    def test_a_name_without_revisions_says_so(self, spec: str) -> None:
        with pytest.raises(UsageError, match=r"has no revisions: write (control/faithful|nano-banana)\.$"):
            resolve_model(spec, root=Path("/nowhere"), device="cpu")


class TestOtherKinds:
    """Hosted models, and what a function of one's own returns."""

    def test_hosted_models_are_pinned_by_their_address(self) -> None:
        names = {
            "nano-banana": "gemini-2.5-flash-image",
            "nano-banana[recipe=paper,price=0.04]": "gemini-2.5-flash-image-preview",
            "gemini:some-model": "some-model",
        }
        for spec, wanted in names.items():
            model = resolve_model(spec, root=Path("/nowhere"), device="cpu")
            assert model.name == spec
            assert wanted in json.dumps(dict(model.identity))

    @pytest.mark.parametrize("part", ["+lora=./x", "+transformer=./x", "+negative=x"])
    def test_a_hosted_model_takes_no_weights_and_no_negative_text(self, part: str) -> None:
        with pytest.raises(
            UsageError, match=r"^model 'nano-banana\+.*' is hosted: a hosted model takes no '\+[a-z]+='"
        ):
            resolve_model(f"nano-banana{part}", root=Path("/nowhere"), device="cpu")

    def test_a_hosted_model_is_no_pipeline_and_a_service_has_no_recipes(self) -> None:
        with pytest.raises(UsageError, match=r"is hosted: it has no weights to load\.$"):
            resolve("nano-banana", Path("/nowhere"))
        with pytest.raises(UsageError, match=r"only names of the zoo have recipes\.$"):
            resolve_model("gemini:x[recipe=paper]", root=Path("/nowhere"), device="cpu")

    @pytest.fixture
    def module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
        """Writes a module of somebody's own and says its name."""
        monkeypatch.syspath_prepend(tmp_path)

        def write(source: str) -> str:
            name = f"own_{random.getrandbits(64):x}"
            (tmp_path / f"{name}.py").write_text(source)
            return name

        return write

    def test_the_example_of_the_page_draws(self, module: Callable[[str], str]) -> None:
        page = (Path(__file__).resolve().parents[2] / "docs" / "generators.md").read_text()
        (example,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
        spec = f"{module(example)}:flat"
        model = resolve_model(spec, root=Path("/nowhere"), device="cpu")
        assert (model.name, model.batch_size) == (spec, 16)
        first, again, other = model.load().generate([ImageRequest("a cat", seed) for seed in (1, 1, 2)])
        assert isinstance(first, Image)
        assert isinstance(again, Image)
        assert isinstance(other, Image)
        assert first.size == (64, 64)
        assert first.tobytes() == again.tobytes() != other.tobytes()

    @pytest.mark.parametrize(
        ("source", "complaint"),
        [
            ("flat = 3", r"has no function 'flat'\.$"),
            (
                "import gone_module",
                r"cannot be imported: ModuleNotFoundError: No module named 'gone_module'\. Install it",
            ),
            (
                "def flat(*, name, device): return 3",
                r"returned int, which has no 'name': return an object that follows",
            ),
            ("def flat(*, name): ...", r"raised TypeError: .*'device'\.$"),
            ("def flat(*, name, device): raise OSError('no\\ncamera')", r"raised OSError: no\.$"),
            ("def flat(*, name, device): raise OSError", r"raised OSError\.$"),
            (
                "class It:\n    name, revision, identity, batch_size, load = 'x', '', {}, 1, None\n"
                "def flat(*, name, device): return It()",
                r"its `name` is 'x' and must be the argument `name`\.$",
            ),
            (
                "class It:\n    revision, identity, batch_size, load = '', {'a': {1}}, 1, None\n"
                "def flat(*, name, device):\n    it = It()\n    it.name = name\n    return it",
                r"its `identity` is no JSON object: .*\.$",
            ),
        ],
    )
    def test_a_fault_of_somebodys_own_is_one_line_that_says_whose(
        self, module: Callable[[str], str], source: str, complaint: str
    ) -> None:
        spec = f"{module(source)}:flat"
        with pytest.raises(UsageError, match=rf"^model '{spec}': .*{complaint}") as raised:
            resolve_model(spec, root=Path("/nowhere"), device="cpu")
        assert "\n" not in str(raised.value)

    def test_a_function_takes_neither_options_nor_parts(self) -> None:
        with pytest.raises(UsageError, match=r"is made by a function, which takes no options in brackets\.$"):
            resolve_model("own:flat[steps=3]", root=Path("/nowhere"), device="cpu")
        with pytest.raises(UsageError, match=r"is made by a function: it takes no '\+lora='\.$"):
            resolve_model("own:flat+lora=./x", root=Path("/nowhere"), device="cpu")


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
