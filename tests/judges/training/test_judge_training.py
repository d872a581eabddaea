"""Training of judges: it learns what people said, equal runs end equal, and the judge's loader reads the adapter."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from judges.training.rated_scenes import SEEN, save_learner, write_scenes
from safetensors.torch import load_file, save_file
from torch.nn.functional import log_softmax

from aes_audit.errors import InfrastructureError, UsageError
from aes_audit.evidence.progress import Progress
from aes_audit.evidence.reading import read_evidence
from aes_audit.judges.guideline import trained_guideline
from aes_audit.judges.registry import resolve_judge
from aes_audit.judges.training.adapter import ADAPTER
from aes_audit.judges.training.annotations import RatedImage, read_annotations
from aes_audit.judges.training.loop import train_judge
from aes_audit.judges.training.recipe import ALL_LINEAR, ATTENTION, LANGUAGE, JudgeRecipe, JudgeRunning
from aes_audit.judges.training.sources import resolve_data
from aes_audit.judges.vision_language import QwenJudgeModel
from aes_audit.measures.registry import measure
from aes_audit.mitigation.checkpoint import Outcome
from aes_audit.mitigation.workplace import PROVENANCE, State, Workplace

QUICK = JudgeRecipe(epochs=1, batch_size=2, accumulate=2, learning_rate=3e-3, rank=4, targets=ALL_LINEAR)
PLAIN = JudgeRunning()
ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-c", "from aes_audit.command.main import main; raise SystemExit(main())", "train-judge"]


class _After:
    """Stops a run after so many updates, as an interruption would."""

    def __init__(self, updates: float) -> None:
        self._left = updates

    def __call__(self) -> bool:
        self._left -= 1
        return self._left < 0


def spec(learner: Path, scenes: Path, order: str = "text-first", size: int = 32) -> str:
    """The judge with short questions and small images."""
    return f"{learner}[size={size},order={order},guideline={scenes.parent / 'guideline.toml'}]"


def resolved(text: str) -> QwenJudgeModel:
    """A judge that is pinned."""
    model = resolve_judge(text, device="cpu", root=Path.cwd())
    assert isinstance(model, QwenJudgeModel)
    return model


def rated(scenes: Path) -> tuple[RatedImage, ...]:
    """All rated scenes."""
    source = resolve_data(str(scenes), Path.cwd())
    guideline = resolved_guideline(scenes)
    return read_annotations(source, guideline, pictures=scenes.parent / "kept").images


def resolved_guideline(scenes: Path) -> Any:
    """The short guideline beside the scenes."""
    from aes_audit.judges.guideline import Guideline

    return Guideline.read(scenes.parent / "guideline.toml")


def run(
    judge: str,
    images: Sequence[RatedImage],
    output: Path,
    recipe: JudgeRecipe = QUICK,
    *,
    updates: float = np.inf,
    running: JudgeRunning = PLAIN,
) -> Outcome:
    """One run of the training that the command makes."""
    place, subject = Workplace(output, ADAPTER), {"recipe": dict(recipe.identity)}
    place.begin(subject, resume=True)
    stop = _After(updates)
    return train_judge(resolved(judge), images, recipe, running, place, subject, progress=Progress(), stop=stop)


def same(one: Path, other: Path) -> bool:
    """Whether two folders hold one adapter, to the last bit."""
    first, second = load_file(one / ADAPTER), load_file(other / ADAPTER)
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("order", ["text-first", "image-first"])
def test_what_is_learnt_is_what_the_judge_reads(learner: Path, scenes: Path, tmp_path: Path, order: str) -> None:
    """The first loss of a fresh adapter, which changes nothing, is that of the judge's own probabilities."""
    judge, images = spec(learner, scenes, order), rated(scenes)[:4]
    (found,) = run(judge, images, tmp_path / "lora", updates=1).losses
    loaded = resolved(judge).load()
    shares = np.log(loaded.probabilities([image.open() for image in images], SEEN))
    with torch.no_grad():
        states = loaded.read_turns([(image.open(), SEEN) for image in images])
        whole = log_softmax(loaded.model.lm_head(states), dim=-1)
    digits = whole[:, list(loaded.conversation.digits)].double()
    # Over the whole vocabulary, and within it the three answers share as the judge says.
    np.testing.assert_allclose(digits.log_softmax(-1).reshape(4, 3, 3), shares, atol=1e-5)
    right = [image.classes[name] for image in images for name in SEEN]
    assert found == pytest.approx(-float(digits[range(12), right].mean()), abs=1e-5)


def test_the_loss_falls_and_scores_move_towards_what_people_said(learner: Path, scenes: Path, tmp_path: Path) -> None:
    judge, images = spec(learner, scenes), rated(scenes)[:16]
    first, last = run(judge, images, tmp_path / "lora", replace(QUICK, epochs=4, rank=8)).trend
    assert last < 0.6 * first
    pictures, truth = [image.open() for image in images], [[image.classes[name] for name in SEEN] for image in images]
    before = resolved(judge).load().score(pictures, SEEN)
    after = resolved(f"{judge}+lora={tmp_path / 'lora'}").load().score(pictures, SEEN)
    assert np.abs(after - truth).mean() < 0.9 * np.abs(before - truth).mean()


def test_an_adapter_learns_to_say_one_class_or_the_other(learner: Path, scenes: Path, tmp_path: Path) -> None:
    judge, images = spec(learner, scenes), rated(scenes)[:8]
    scores = []
    for label in (0, 2):
        told = [RatedImage(image.sha256, image.file, {"richness": label}) for image in images]
        run(judge, told, tmp_path / str(label), replace(QUICK, epochs=5, learning_rate=1e-2))
        trained = resolved(f"{judge}+lora={tmp_path / str(label)}").load()
        scores.append(trained.score([image.open() for image in images], ["richness"]).mean())
    assert scores[0] < 0.3
    assert scores[1] > 1.7


def test_a_stopped_training_goes_on_to_the_weights_of_an_undisturbed_one(
    learner: Path, scenes: Path, tmp_path: Path
) -> None:
    judge, images, recipe = spec(learner, scenes), rated(scenes)[:12], replace(QUICK, epochs=2, questions=2)
    whole = run(judge, images, tmp_path / "whole", recipe)
    assert run(judge, images, tmp_path / "parts", recipe, updates=4).steps == 4
    assert not (tmp_path / "parts" / ADAPTER).exists()
    assert run(judge, images, tmp_path / "parts", recipe).losses == whole.losses
    assert len(whole.losses) == 6
    assert same(tmp_path / "whole", tmp_path / "parts")
    assert (tmp_path / "whole" / PROVENANCE).read_bytes() == (tmp_path / "parts" / PROVENANCE).read_bytes()
    assert not (tmp_path / "parts" / ".training").exists()


def test_accumulated_batches_learn_as_one_large_one(learner: Path, scenes: Path, tmp_path: Path) -> None:
    """Also where batches differ in their number of questions."""
    judge, images = spec(learner, scenes), list(rated(scenes)[:6])
    images[0] = replace(images[0], classes={"richness": 0})
    large = run(judge, images, tmp_path / "large", replace(QUICK, batch_size=6, accumulate=1, epochs=2))
    small = run(judge, images, tmp_path / "small", replace(QUICK, batch_size=1, accumulate=6, epochs=2))
    assert small.losses == pytest.approx(large.losses, rel=1e-4)


def test_every_epoch_sees_every_image_once(learner: Path, scenes: Path, tmp_path: Path, monkeypatch: Any) -> None:
    seen: list[str] = []
    plain = RatedImage.open

    def watched(image: RatedImage) -> Any:
        seen.append(image.sha256)
        return plain(image)

    monkeypatch.setattr(RatedImage, "open", watched)
    images = rated(scenes)[:6]
    run(spec(learner, scenes), images, tmp_path / "lora", replace(QUICK, epochs=2, questions=1))
    wanted = sorted(image.sha256 for image in images)
    assert (sorted(seen[:6]), sorted(seen[6:])) == (wanted, wanted)
    assert seen[:6] != seen[6:]


def test_gradient_checkpointing_changes_memory_and_nothing_else(learner: Path, scenes: Path, tmp_path: Path) -> None:
    judge, images = spec(learner, scenes), rated(scenes)[:8]
    plain = run(judge, images, tmp_path / "plain")
    saving = run(judge, images, tmp_path / "saving", running=JudgeRunning(gradient_checkpointing=True))
    assert saving.losses == pytest.approx(plain.losses, rel=1e-5)


def test_a_judge_in_half_precision_trains_an_adapter_in_full(learner: Path, scenes: Path, tmp_path: Path) -> None:
    """An update of 1e-6 is far below what bfloat16 can add to a weight of the adapter."""
    judge = spec(learner, scenes).replace("[", "[dtype=bfloat16,")
    run(judge, rated(scenes)[:4], tmp_path / "lora", replace(QUICK, learning_rate=1e-6))
    outer = [tensor for name, tensor in load_file(tmp_path / "lora" / ADAPTER).items() if "lora_B" in name]
    assert {tensor.dtype for tensor in outer} == {torch.float32}
    assert 0 < max(float(tensor.abs().max()) for tensor in outer) < 1e-5


@pytest.mark.parametrize(
    ("targets", "inside", "outside"),
    [
        (ATTENTION, "language_model.layers.1.self_attn.o_proj", ("mlp", "visual", "lm_head")),
        (LANGUAGE, "language_model.layers.1.mlp.down_proj", ("visual", "lm_head")),
        (ALL_LINEAR, "visual.blocks.0.attn.qkv", ("lm_head", "patch_embed")),
        (("visual.merger.linear_fc1",), "visual.merger.linear_fc1", ("language_model", "blocks")),
    ],
)
def test_targets_are_the_layers_that_they_say(
    learner: Path, scenes: Path, tmp_path: Path, targets: tuple[str, ...], inside: str, outside: tuple[str, ...]
) -> None:
    run(spec(learner, scenes), rated(scenes)[:1], tmp_path / "lora", replace(QUICK, targets=targets))
    names = list(load_file(tmp_path / "lora" / ADAPTER))
    assert any(inside in name for name in names)
    assert not [name for name in names for part in outside if part in name]
    assert resolved(f"{spec(learner, scenes)}+lora={tmp_path / 'lora'}").load()


def test_the_adapter_says_what_guideline_it_knows(learner: Path, scenes: Path, tmp_path: Path) -> None:
    judge = spec(learner, scenes)
    run(judge, rated(scenes)[:1], tmp_path / "lora")
    assert trained_guideline(tmp_path / "lora") == resolved_guideline(scenes).digest
    assert resolved(f"{judge}+lora={tmp_path / 'lora'}").warnings == ()
    (said,) = resolved(f"{learner}+lora={tmp_path / 'lora'}").warnings
    assert "was trained on another guideline" in said
    assert str(learner) not in (tmp_path / "lora" / "adapter_config.json").read_text()


def test_what_cannot_be_learnt_is_said(learner: Path, scenes: Path, tmp_path: Path) -> None:
    judge, images = spec(learner, scenes), rated(scenes)[:4]
    with pytest.raises(UsageError, match=r"no linear layer's name ends with 'to_q'; there are .*q_proj"):
        run(judge, images, tmp_path / "a", replace(QUICK, targets=("to_q",)))
    gone = replace(images[0], file=tmp_path / "gone.png")
    with pytest.raises(UsageError, match=r"the picture '.*gone\.png' cannot be read"):
        run(judge, [gone], tmp_path / "b")
    broken = Path(shutil.copytree(learner, tmp_path / "broken"))
    weights = load_file(broken / "model.safetensors")
    save_file({**weights, "lm_head.weight": weights["lm_head.weight"] * torch.nan}, broken / "model.safetensors")
    with pytest.raises(InfrastructureError, match="update 1: the loss is nan; try a lower --learning-rate"):
        run(spec(broken, scenes), images, tmp_path / "c")


def test_a_broken_checkpoint_is_named(learner: Path, scenes: Path, tmp_path: Path) -> None:
    run(spec(learner, scenes), rated(scenes)[:8], tmp_path / "lora", updates=1)
    Workplace(tmp_path / "lora").checkpoint.write_bytes(b"cut off")
    with pytest.raises(UsageError, match=r"the checkpoint '.*' cannot be read .* start anew in another folder"):
        run(spec(learner, scenes), rated(scenes)[:8], tmp_path / "lora")


@pytest.mark.heavy
def test_a_killed_training_ends_with_the_weights_of_an_undisturbed_one(
    learner: Path, scenes: Path, tmp_path: Path
) -> None:
    options = [f"--data={scenes}", "--held-out=8", "--epochs=10", "--batch-size=2", "--rank=2", "--device=cpu"]
    command = [*COMMAND, spec(learner, scenes), *options, "--checkpoint-every=1"]
    place = Workplace(tmp_path / "killed", ADAPTER)
    killed = subprocess.Popen([*command, f"--output={place.folder}"], stderr=subprocess.PIPE)
    while not place.checkpoint.is_file() and killed.poll() is None:
        time.sleep(0.002)
    killed.kill()
    killed.communicate()
    assert place.state is State.BEGUN
    subprocess.run([*command, f"--output={place.folder}", "--resume"], check=True, capture_output=True)
    subprocess.run([*command, f"--output={tmp_path / 'whole'}"], check=True, capture_output=True)
    assert same(place.folder, tmp_path / "whole")
    assert (place.folder / PROVENANCE).read_bytes() == (tmp_path / "whole" / PROVENANCE).read_bytes()


@pytest.mark.heavy
def test_training_lifts_agreement_above_the_majority_on_images_that_were_held_out(tmp_path: Path) -> None:
    """A model of random weights needs more than attention: all linear layers, and 150 times the paper's rate."""
    scenes, learner = write_scenes(tmp_path / "scenes", 1000), save_learner(tmp_path / "learner")
    options = [f"--data={scenes}", "--held-out=200", "--epochs=7", "--batch-size=16", "--accumulate=1"]
    learning = ["--learning-rate=3e-3", "--targets=all-linear", "--device=cpu"]
    judge = spec(learner, scenes, size=64)
    started = time.monotonic()
    subprocess.run([*COMMAND, judge, *options, *learning, f"--output={tmp_path / 'lora'}"], check=True)
    assert time.monotonic() - started < 600
    gates = [sys.executable, "-m", "pytest", "audits/", "-q", "-p", "no:cacheprovider"]
    gates.append(f"--evidence={tmp_path / 'lora-ratings.parquet'}")
    said = subprocess.run(gates, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert "judge_agreement_quadratic_kappa (used)" in said
    evidence = read_evidence(tmp_path / "lora-ratings.parquet")
    kept = json.loads((tmp_path / "lora" / PROVENANCE).read_text())
    assert kept["data"]["images"] == {"training": 800, "held_out": 200}
    for group in (*SEEN, "used"):
        found = measure("judge_agreement_accuracy", evidence, model="ratings", group=group)
        assert found.interval is not None
        # Not by chance: the whole interval lies above what always the commonest class would reach.
        assert found.interval[0] > found.details["majority_baseline"], group
        kappa = measure("judge_agreement_quadratic_kappa", evidence, model="ratings", group=group)
        assert (kappa.estimate or 0) > 0.2, group
