"""The zoo: what each name stands for, in the paper's settings and in ours, and how its file is read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from weights.hub_server import COMMIT, Hub, serving

from aes_audit.errors import UsageError
from aes_audit.generators.resolve import resolve_generator
from aes_audit.generators.zoo import ZOO, ZOO_FILE, read_zoo

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "generators.md"

FLUX = "black-forest-labs/FLUX.1-dev"
SD35 = "stabilityai/stable-diffusion-3.5-medium"
PAPER: Mapping[str, tuple[str, str | None, str, int, float, int]] = {
    "flux-dev": (FLUX, None, "float16", 32, 3.5, 1024),
    "flux-krea": ("black-forest-labs/FLUX.1-Krea-dev", None, "float16", 32, 3.5, 1024),
    "pref-flux": ("CodeGoat24/FLUX.1-dev-PrefGRPO", None, "bfloat16", 32, 3.5, 1024),
    "dance-flux": (FLUX, "xzyhku/flux_hpsv2.1_dancegrpo", "bfloat16", 32, 3.5, 1024),
    "sdxl": ("stabilityai/stable-diffusion-xl-base-1.0", None, "float16", 50, 5.0, 1024),
    "playground-2.5": ("playgroundai/playground-v2.5-1024px-aesthetic", None, "float16", 50, 3.0, 1024),
    "sd3.5m": (SD35, None, "float16", 32, 6.0, 512),
    "sd3.5m-geneval": (SD35, "jieliu/SD3.5M-FlowGRPO-GenEval", "float16", 32, 6.0, 512),
    "sd3.5m-pickscore": (SD35, "jieliu/SD3.5M-FlowGRPO-PickScore", "float16", 32, 6.0, 512),
}
"""What made the published images: repository, what is put onto it, dtype, steps, guidance, side in pixels."""

CARDS = {
    "flux-dev": ("bfloat16", 50, 3.5, 1024),
    "sdxl": ("float16", 50, 5.0, 1024),
    "sd3.5m": ("bfloat16", 40, 4.5, 1024),
}
"""What the cards of the families' bases run: dtype, steps, guidance, side."""

RESOLVE = """
import json, sys
from pathlib import Path
from aes_audit.generators.registry import resolve_model
found = {
    spec: dict(resolve_model(spec, root=Path("/nowhere"), device="cuda").identity) for spec in json.loads(sys.argv[1])
}
print(json.dumps(found), "torch" in sys.modules)
"""


@pytest.fixture(scope="module")
def resolved(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, Any]]:
    """The identity of every name with weights on the hub, in both recipes, from a hub that has all repositories."""
    folder = tmp_path_factory.mktemp("repository")
    specs = [f"{name}[recipe={recipe}]" for name in PAPER for recipe in ("default", "paper")] + list(PAPER)
    repos = {part for repo, put_on, *_ in PAPER.values() for part in (repo, put_on) if part}
    with serving(Hub(repos=dict.fromkeys(repos, folder))) as hub:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        environment |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "cache")}
        command = [sys.executable, "-c", RESOLVE, json.dumps(specs)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found, _, torch_loaded = done.stdout.strip().rpartition(" ")
    assert torch_loaded == "False"
    identities: Mapping[str, Mapping[str, Any]] = json.loads(found)
    return identities


def settings(identity: Mapping[str, Any]) -> tuple[str, int, float, int]:
    """dtype, steps, guidance and side of a square image."""
    call = identity["call"]
    assert call["height"] == call["width"]
    assert set(call) == {"num_inference_steps", "guidance_scale", "height", "width"}
    return identity["dtype"], call["num_inference_steps"], call["guidance_scale"], call["height"]


@pytest.mark.parametrize("name", PAPER)
def test_the_paper_recipe_is_what_made_the_published_images(
    resolved: Mapping[str, Mapping[str, Any]], name: str
) -> None:
    repo, put_on, *wanted = PAPER[name]
    identity = resolved[f"{name}[recipe=paper]"]
    assert list(settings(identity)) == wanted
    assert identity["weights"]["repo"] == repo
    extra = [*identity["loras"], *([identity["transformer"]] if "transformer" in identity else [])]
    assert [part["repo"] for part in extra] == ([put_on] if put_on else [])
    assert identity.get("variant") == ("fp16" if name in ("sdxl", "playground-2.5") else None)


def test_the_default_recipe_is_the_card_of_the_familys_base_for_all_of_the_family(
    resolved: Mapping[str, Mapping[str, Any]],
) -> None:
    for base, wanted in CARDS.items():
        family = [name for name in PAPER if ZOO[name].family == ZOO[base].family]
        assert base in family
        for name in family:
            assert settings(resolved[name]) == wanted
            assert resolved[name].get("variant") == resolved[base].get("variant")
            assert resolved[name] == resolved[f"{name}[recipe=default]"]


def test_dance_flux_is_one_file_of_another_repository_in_the_place_of_the_transformer(
    resolved: Mapping[str, Mapping[str, Any]],
) -> None:
    assert resolved["dance-flux"]["transformer"] == {
        "repo": "xzyhku/flux_hpsv2.1_dancegrpo",
        "revision": COMMIT,
        "file": "checkpoint-ema-300-0/diffusion_pytorch_model.safetensors",
    }
    assert resolved["dance-flux"]["weights"] == resolved["flux-dev"]["weights"]


def test_every_repository_is_pinned_to_a_commit(resolved: Mapping[str, Mapping[str, Any]]) -> None:
    revisions = re.findall(r'"revision": "([^"]*)"', json.dumps(resolved))
    assert len(revisions) > len(resolved)
    assert all(re.fullmatch("[0-9a-f]{40}", revision) for revision in revisions)
    assert COMMIT in revisions


def test_all_ten_models_of_the_paper_have_a_name_a_licence_and_a_place_in_a_family() -> None:
    assert {*PAPER, "nano-banana"} == {name for name in ZOO if not name.startswith("control/")}
    for name, entry in ZOO.items():
        assert entry.licence
        assert entry.family
        assert entry.compared is None or ZOO[entry.compared].family == entry.family, name
    pairs = {name: entry.compared for name, entry in ZOO.items() if entry.role == "aligned"}
    assert pairs == {
        "dance-flux": "flux-dev",
        "playground-2.5": "sdxl",
        "sd3.5m-pickscore": "sd3.5m",
        "control/beautified": "control/faithful",
    }


def test_nano_banana_is_the_preview_in_the_paper_and_its_successor_by_default() -> None:
    entry = ZOO["nano-banana"]
    assert entry.base is None
    assert entry.host("paper") == "gemini:gemini-2.5-flash-image-preview"
    assert entry.host("default") == "gemini:gemini-2.5-flash-image"


def test_the_page_of_the_generators_shows_every_name_with_the_settings_it_has() -> None:
    rows = re.findall(r"^\| `([^`]+)` \|(.*)\|$", DOCUMENT.read_text(), flags=re.MULTILINE)
    shown = {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows if name in PAPER}
    assert shown.keys() == PAPER.keys()
    for name, cells in shown.items():
        for recipe, cell in zip(("paper", "default"), cells[-2:], strict=True):
            chosen = ZOO[name].recipe(recipe)
            assert chosen.size is not None
            assert cell == f"{chosen.dtype}, {chosen.steps}, {chosen.guidance:g}, {chosen.size[0]}"
    gated = {name for name in PAPER if ZOO[name].gated}
    assert gated == {name for name, cells in shown.items() if "gated" in cells[2]}


@pytest.mark.parametrize("name", [name for name in ZOO if name.startswith("control/")])
def test_every_control_is_the_faithful_one_with_adapters_in_their_order(name: str) -> None:
    tuned = {"control/faithful": [], "control/mitigated": ["beautified", "mitigated"]}
    model = resolve_generator(name, root=Path("/nowhere"), device="cpu")
    assert [str(lora.source.folder).rpartition("/")[2] for lora in model.loras] == tuned.get(
        name, [name.removeprefix("control/")]
    )
    assert model.weights == resolve_generator("control/faithful", root=Path("/nowhere"), device="cpu").weights
    assert (model.settings.call["num_inference_steps"], model.dtype) == (12, "float32")


SMALL = """
schema = 1
[families.f]
base = "m"
source = "a card"
dtype = "float16"
steps = 3
guidance = 1.0
size = [64, 64]
[models.m]
family = "f"
role = "base"
loading = "pipeline"
repo = "owner/name"
licence = "MIT"
"""


def _read(tmp_path: Path, text: str) -> None:
    (tmp_path / "zoo.toml").write_text(text)
    read_zoo(tmp_path / "zoo.toml")


def test_a_small_zoo_is_read(tmp_path: Path) -> None:
    _read(tmp_path, SMALL)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("schema = 1", "schema = 2", "schema must be 1, found 2"),
        ("schema = 1", "schema = ", "cannot be read"),
        ("schema = 1", "schema = 1\nmodel = 1", "unknown key"),
        ('base = "m"', 'base = "n"', "unknown base in"),
        ('base = "m"\n', "", "key 'base' is missing"),
        ('source = "a card"\n', "", "key 'source' is missing"),
        ("steps = 3", "steps = 3.0", "steps = 3.0 is not a whole number"),
        ("steps = 3", "steps = true", "steps = True is not a whole number"),
        ("guidance = 1.0", "guidance = 1", "guidance = 1 is not a number with a decimal point"),
        ("size = [64, 64]", "size = 64", "size = 64 is not [width, height]"),
        ('dtype = "float16"', 'dtype = "fp16"', "unknown dtype"),
        ('family = "f"', 'family = "g"', "unknown family"),
        ('role = "base"', 'role = "best"', "unknown role"),
        ('role = "base"', 'role = "base"\nbase = "m"', "unknown base in"),
        ('role = "base"', "role = 1", "role = 1 is not a text"),
        ('family = "f"', 'family = ["f"]', "family = ['f'] is not a text"),
        ('loading = "pipeline"', 'loading = "adapter"', "loading = 'adapter' does not go with what the table holds"),
        ('loading = "pipeline"', 'loading = "hosted"', "loading = 'hosted' does not go with"),
        ('loading = "pipeline"', 'loading = "pipeline"\nloras = [{ repo = "a/b" }]', "does not go with"),
        ('repo = "owner/name"', 'repo = "owner/name"\nshipped = "faithful"', "give exactly one of repo"),
        ('repo = "owner/name"', "", "give exactly one of repo"),
        ('repo = "owner/name"', 'repo = ["owner/name"]', "is not a text"),
        ('repo = "owner/name"', 'repo = "owner/name"\nstep = 4', "unknown key in"),
        ('licence = "MIT"', "", "key 'licence' is missing"),
        ('licence = "MIT"', 'licence = ""', "licence = '' is not a text"),
        ('licence = "MIT"', 'licence = "MIT"\ngated = "yes"', "gated = 'yes' is not a boolean"),
        ('licence = "MIT"', 'licence = "MIT"\npaper = { stepps = 4 }', "Did you mean 'steps'?"),
        ('licence = "MIT"', 'licence = "MIT"\npaper = 4', "4 is not a table"),
        ('licence = "MIT"', 'licence = "MIT"\nloras = 4', "4 is not a list of tables"),
    ],
)
def test_a_fault_in_the_file_is_one_line_with_its_name(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert SMALL.count(old) == 1
    with pytest.raises(UsageError) as raised:
        _read(tmp_path, SMALL.replace(old, new))
    message = str(raised.value)
    assert str(tmp_path / "zoo.toml") in message
    assert complaint in message
    assert "\n" not in message


def test_the_shipped_file_is_the_zoo() -> None:
    assert read_zoo(ZOO_FILE).keys() == ZOO.keys()
