"""What may be typed for a reward, and what it is pinned to, without loading anything."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from parity.clip import Bench
from weights.hub_server import COMMIT, Hub, serving

from aes_audit.errors import ModelNotFound, UnknownName, UsageError
from aes_audit.rewards.registry import REWARDS, resolve_reward, scorer_name
from aes_audit.rewards.spec import parse_reward


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench.build("hpsv2", tmp_path_factory.mktemp("hpsv2"))


@pytest.mark.parametrize(
    ("text", "name", "options", "revision", "path"),
    [
        ("hpsv3", "hpsv3", {}, None, None),
        ("control/clip", "control/clip", {}, None, None),
        ("clip-l@v1.0", "clip-l", {}, "v1.0", None),
        ("hpsv2.1[antialias=false]=some/folder", "hpsv2.1", {"antialias": "false"}, None, "some/folder"),
        ("mps=/weights@home/a=b.pth", "mps", {}, None, "/weights@home/a=b.pth"),
        ("clip-l[ recipe = hf , output=logits ]@main", "clip-l", {"recipe": "hf", "output": "logits"}, "main", None),
        ("hpsv1[]=x", "hpsv1", {}, None, "x"),
    ],
)
def test_a_spec_is_name_options_and_revision_or_path(
    text: str, name: str, options: dict[str, str], revision: str | None, path: str | None
) -> None:
    spec = parse_reward(text)
    assert (spec.name, dict(spec.options), spec.revision, spec.path) == (name, options, revision, path)


@pytest.mark.parametrize(
    "text", ["", "=path", "hpsv2.1[", "hpsv2.1]", "hpsv2.1@", "hpsv2.1=", "[a=b]", "mps[a]", "mps[=1]"]
)
def test_what_is_no_spec_is_refused_with_the_grammar(text: str) -> None:
    with pytest.raises(UsageError, match=r"write NAME|write \[name=value\]"):
        parse_reward(text)


def test_an_option_is_said_once() -> None:
    with pytest.raises(UsageError, match="says 'threshold' twice"):
        parse_reward("mps[threshold=0.3,threshold=0.01]")


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("hpsv2.1[antialias=true]@main", "hpsv2.1"),
        ("hpsv2.1[antialias=false]=x", "hpsv2.1[antialias=false]"),
        ("mps[threshold=.300]=x", "mps"),
        ("mps[threshold=1e-2]=x", "mps[threshold=0.01]"),
        ("clip-l[recipe=hf,output=logits]", "clip-l[output=logits,recipe=hf]"),
        ("pickscore[dtype=float32]", "pickscore"),
        ("control/clip", "control/clip"),
    ],
)
def test_the_scorers_name_holds_what_is_not_the_default_in_one_spelling(spec: str, name: str) -> None:
    assert scorer_name(spec, device="cpu") == name


def test_hpsv3_is_by_default_in_its_official_dtype_on_an_accelerator() -> None:
    assert scorer_name("hpsv3[dtype=official]", device="cuda") == "hpsv3"
    assert scorer_name("hpsv3[dtype=official]", device="cpu") == "hpsv3[dtype=official]"
    assert scorer_name("hpsv3[dtype=float32]", device="cuda") == "hpsv3[dtype=float32]"


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        (
            "hpsv2.1[antialas=true]",
            "unknown option of hpsv2.1 'antialas'. Did you mean 'antialias'? Known: antialias, dtype.",
        ),
        ("hpsv2.1[antialias=no]", "hpsv2.1[antialias=no]: antialias is one of true, false, not 'no'."),
        (
            "mps[threshold=1]=x",
            "mps[threshold=1]: threshold is one of 0.3, 0.01 or another number between 0 and 1, not '1'.",
        ),
        ("control/clip=x", "reward 'control/clip=x': control/clip takes no options, revision or path."),
        ("hpsv1", "reward 'hpsv1' has no repository on the hub: give its weights as hpsv1=PATH, "),
        ("mps@main", "reward 'mps' has no repository on the hub: give its weights as mps=PATH, "),
    ],
)
def test_a_wrong_choice_is_one_line_with_the_way_out(spec: str, complaint: str) -> None:
    with pytest.raises(UsageError) as raised:
        resolve_reward(spec, device="cpu")
    assert str(raised.value).startswith(complaint)


def test_an_unknown_reward_lists_what_exists() -> None:
    for ask in (resolve_reward, scorer_name):
        with pytest.raises(UnknownName, match=r"unknown reward 'hpsv4'\. Did you mean ") as raised:
            ask("hpsv4=folder", device="cpu")
        assert all(name in str(raised.value) for name in REWARDS)


class TestByPath:
    """NAME=PATH: a folder in the layout of the publishers, or the official file alone."""

    def test_a_folder_and_its_file_are_the_same_reward(self, bench: Bench) -> None:
        folder, file = bench.files.folder, bench.files.checkpoint
        ours = [resolve_reward(f"hpsv2.1={place}", device="cpu") for place in (folder, file)]
        assert ours[0].identity == ours[1].identity
        assert ours[0].revision == ours[1].revision == ours[0].identity["weights"]["checkpoint"]

    def test_a_relative_path_is_under_the_root(self, bench: Bench) -> None:
        folder = bench.files.folder
        ours = resolve_reward(f"hpsv2.1={folder.name}", device="cpu", root=folder.parent)
        assert ours.identity == resolve_reward(f"hpsv2.1={folder}", device="cpu").identity

    def test_a_copy_elsewhere_under_another_name_is_the_same_reward(self, bench: Bench, tmp_path: Path) -> None:
        copy = Path(shutil.copytree(bench.files.folder, tmp_path / "copy"))
        (copy / bench.files.checkpoint.name).rename(copy / "renamed.pt")
        ours = [resolve_reward(f"hpsv2.1={place}", device="cpu") for place in (bench.files.folder, copy)]
        assert ours[0].identity == ours[1].identity

    @pytest.mark.parametrize("name", ["open_clip_config.json", "tokenizer/merges.txt", "HPS_v2.1_compressed.pt"])
    def test_a_changed_file_is_another_reward(self, bench: Bench, tmp_path: Path, name: str) -> None:
        copy = Path(shutil.copytree(bench.files.folder, tmp_path / "copy"))
        with (copy / name).open("ab") as file:
            file.write(b" ")
        ours = [resolve_reward(f"hpsv2.1={place}", device="cpu") for place in (bench.files.folder, copy)]
        assert ours[0].identity != ours[1].identity

    def test_options_and_dtype_are_identity_and_the_device_is_not(self, bench: Bench) -> None:
        folder = bench.files.folder
        specs = ["hpsv2.1", "hpsv2.1[antialias=false]", "hpsv2.1[dtype=official]", "hpsv2.0"]
        ours = [resolve_reward(f"{spec}={folder}", device="cpu") for spec in specs]
        assert len({str(reward.identity) for reward in ours}) == len({reward.name for reward in ours}) == len(specs)
        assert resolve_reward(f"hpsv2.1={folder}", device="cuda").identity == ours[0].identity
        assert ours[1].identity["recipe"] == {
            "image": "letterbox-224",
            "text": "clip-clean-77",
            "version": 1,
            "antialias": "false",
            "dtype": "float32",
        }

    def test_digests_are_remembered(self, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        spec = f"hpsv2.1={bench.files.folder}"
        first = resolve_reward(spec, device="cpu", cache=tmp_path / "cache").identity
        monkeypatch.setattr("hashlib.file_digest", None)
        assert resolve_reward(spec, device="cpu", cache=tmp_path / "cache").identity == first

    def test_what_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ModelNotFound, match=r"reward 'mps': '.*absent' does not exist: check the path\."):
            resolve_reward(f"mps={tmp_path / 'absent'}", device="cpu")
        with pytest.raises(ModelNotFound, match=r"holds no weight file and no MPS_overall_checkpoint"):
            resolve_reward(f"mps={tmp_path}", device="cpu")
        for name in ("a.pt", "b.safetensors"):
            (tmp_path / name).write_bytes(b"")
        with pytest.raises(ModelNotFound, match=r"several other weight files \(a\.pt, b\.safetensors\)"):
            resolve_reward(f"mps={tmp_path}", device="cpu")

    def test_pinning_imports_no_model_library(self, bench: Bench) -> None:
        program = (
            "import sys; from aes_audit.rewards.registry import resolve_reward;"
            f"print(resolve_reward('hpsv2.1={bench.files.folder}', device='cpu').name);"
            "print(sorted({'torch', 'transformers', 'tokenizers', 'ftfy'} & sys.modules.keys()))"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == ["hpsv2.1", "[]"]


class TestFromTheHub:
    """NAME and NAME@revision: exactly the official file and small files are fetched, at a commit."""

    @pytest.fixture
    def hub(self, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
        """What the publishers hold, on a server of our own, with more files than are wanted."""
        from huggingface_hub import constants

        weights = tmp_path / "HPSv2"
        weights.mkdir()
        for name in ("HPS_v2.1_compressed.pt", "HPS_v2_compressed.pt", "training_state.pt"):
            shutil.copy(bench.files.checkpoint, weights / name)
        shutil.copy(bench.files.folder / "open_clip_config.json", weights)
        clip = Path(shutil.copytree(bench.files.companions["tokenizer"], tmp_path / "clip"))
        for name in ("pytorch_model.bin", "model.safetensors"):
            (clip / name).write_bytes(b"not wanted")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
        with serving(Hub(repos={"xswu/HPSv2": weights, "openai/clip-vit-large-patch14": clip})) as made:
            monkeypatch.setattr(constants, "ENDPOINT", made.url)
            template = made.url + "/{repo_id}/resolve/{revision}/{filename}"
            monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
            yield made

    @pytest.mark.parametrize("spec", ["hpsv2.1", "hpsv2.1@v1"])
    def test_the_official_scores_come_from_the_official_file_alone(self, bench: Bench, hub: Hub, spec: str) -> None:
        reward = resolve_reward(spec, device="cpu")
        assert not any("HPS_v2.1" in request for request in hub.requests), "pinning fetches nothing"
        assert reward.revision == COMMIT
        assert reward.identity["weights"] == {
            "repo": "xswu/HPSv2",
            "revision": COMMIT,
            "companions": {"tokenizer": {"repo": "openai/clip-vit-large-patch14", "revision": COMMIT}},
        }
        keys = bench.keys[:2]
        ours = bench.asked(reward.load().score, keys)
        assert ours == bench.resolved("hpsv2.1", keys)
        fetched = {
            request.rpartition("/")[2]
            for request in hub.requests
            if request.startswith("GET /") and "/resolve/" in request
        }
        assert "HPS_v2.1_compressed.pt" in fetched
        assert fetched.isdisjoint(
            {"HPS_v2_compressed.pt", "training_state.pt", "pytorch_model.bin", "model.safetensors"}
        )

    def test_a_file_by_path_takes_its_tokenizer_from_the_hub(self, bench: Bench, hub: Hub, tmp_path: Path) -> None:
        alone = tmp_path / "alone"
        alone.mkdir()
        for name in ("HPS_v2.1_compressed.pt", "open_clip_config.json"):
            shutil.copy(bench.files.folder / name, alone)
        reward = resolve_reward(f"hpsv2.1={alone / 'HPS_v2.1_compressed.pt'}", device="cpu")
        keys = bench.keys[:2]
        assert bench.asked(reward.load().score, keys) == bench.resolved("hpsv2.1", keys)
        assert not any("HPSv2" in request for request in hub.requests)

    def test_a_repository_without_the_official_file_is_said(self, hub: Hub) -> None:
        (hub.repos["xswu/HPSv2"] / "HPS_v2_compressed.pt").unlink()
        with pytest.raises(ModelNotFound, match=r"xswu/HPSv2 at 0123456789ab holds no HPS_v2_compressed\.pt"):
            resolve_reward("hpsv2.0", device="cpu").load()

    def test_an_unknown_revision_is_said_before_anything_is_loaded(self, hub: Hub) -> None:
        with pytest.raises(ModelNotFound, match="xswu/HPSv2 has no revision 'v9'"):
            resolve_reward("hpsv2.1@v9", device="cpu")
