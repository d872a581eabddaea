"""Hosted models, and what a function of one's own returns."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL.Image import Image

from aes_audit.errors import ModelNotFound, UsageError
from aes_audit.generators.protocol import ImageRequest
from aes_audit.generators.registry import resolve_model
from aes_audit.generators.resolve import DiffusersModel, resolve_generator


def resolve(spec: str, root: Path) -> DiffusersModel:
    """Pin a SPEC for the CPU."""
    return resolve_generator(spec, root=root, device="cpu")


def test_hosted_models_are_pinned_by_their_address() -> None:
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
def test_a_hosted_model_takes_no_weights_and_no_negative_text(part: str) -> None:
    with pytest.raises(UsageError, match=r"^model 'nano-banana\+.*' is hosted: a hosted model takes no '\+[a-z]+='"):
        resolve_model(f"nano-banana{part}", root=Path("/nowhere"), device="cpu")


def test_a_hosted_model_is_no_pipeline_and_a_service_has_no_recipes() -> None:
    with pytest.raises(UsageError, match=r"is hosted: it has no weights to load\.$"):
        resolve("nano-banana", Path("/nowhere"))
    with pytest.raises(UsageError, match=r"only names of the zoo have recipes\.$"):
        resolve_model("gemini:x[recipe=paper]", root=Path("/nowhere"), device="cpu")


def test_a_mistyped_name_that_looks_like_a_repository_gets_a_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelNotFound, match=r"Did you mean 'control/beautified'\?$"):
        resolve_model("controls/beautified", root=Path("/nowhere"), device="cpu")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Writes a module of somebody's own and says its name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(source: str) -> str:
        name = f"own_{random.getrandbits(64):x}"
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return write


def test_the_example_of_the_page_draws(module: Callable[[str], str]) -> None:
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
    module: Callable[[str], str], source: str, complaint: str
) -> None:
    spec = f"{module(source)}:flat"
    with pytest.raises(UsageError, match=rf"^model '{spec}': .*{complaint}") as raised:
        resolve_model(spec, root=Path("/nowhere"), device="cpu")
    assert "\n" not in str(raised.value)


def test_a_function_takes_neither_options_nor_parts() -> None:
    with pytest.raises(UsageError, match=r"is made by a function, which takes no options in brackets\.$"):
        resolve_model("own:flat[steps=3]", root=Path("/nowhere"), device="cpu")
    with pytest.raises(UsageError, match=r"is made by a function: it takes no '\+lora='\.$"):
        resolve_model("own:flat+lora=./x", root=Path("/nowhere"), device="cpu")
