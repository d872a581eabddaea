"""Training of adapters: it learns, equal runs end equal, also after kill -9, and the audit's loader reads it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mitigation.small_worlds import write_pairs
from safetensors.torch import load_file

from aes_audit.evidence.progress import Progress
from aes_audit.generators.protocol import ImageRequest
from aes_audit.generators.resolve import resolve_generator
from aes_audit.mitigation.base_model import resolve_base, subject_of
from aes_audit.mitigation.pairs import read_pair_folder
from aes_audit.mitigation.recipe import Recipe, Running
from aes_audit.mitigation.training import Outcome, train
from aes_audit.mitigation.workplace import ADAPTER, PROVENANCE, State, Workplace

DEFAULT = Running()
QUICK = Recipe(steps=6, batch_size=3, learning_rate=2e-2, rank=2)


class _After:
    """Stops a run after so many steps, as an interruption would."""

    def __init__(self, steps: float) -> None:
        self._left = steps

    def __call__(self) -> bool:
        self._left -= 1
        return self._left < 0


def run(
    model: Path | str,
    data: Path,
    output: Path,
    recipe: Recipe = QUICK,
    steps: float = np.inf,
    running: Running = DEFAULT,
) -> Outcome:
    """One run of the training that the command makes."""
    pairs, base = read_pair_folder(data), resolve_base(str(model), root=Path.cwd(), device="cpu")
    place, subject = Workplace(output), subject_of(base, pairs, recipe)
    place.begin(subject, resume=True)
    stop = _After(steps)
    return train(base, pairs, recipe, running, place, subject, progress=Progress(), stop=stop)


def same(one: Path, other: Path) -> bool:
    """Whether two folders hold one adapter, to the last bit."""
    first, second = load_file(one / ADAPTER), load_file(other / ADAPTER)
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def drawn(spec: str, prompt: str = "a red house") -> Any:
    """What a model draws, as floats."""
    model = resolve_generator(spec, root=Path.cwd(), device="cpu")
    (picture,) = model.load().generate([ImageRequest(prompt, 3)])
    return np.asarray(picture, dtype=np.float64)


def test_the_loss_falls_on_a_tiny_task(tiny_model: Path, pairs: Path, tmp_path: Path) -> None:
    recipe = Recipe(steps=60, batch_size=8, learning_rate=3e-2, rank=8)
    first, last = run(tiny_model, pairs, tmp_path / "lora", recipe).trend
    assert last < 0.93 * first


def test_the_audits_loader_reads_the_adapter_and_draws_something_else(
    tiny_model: Path, pairs: Path, tmp_path: Path
) -> None:
    run(tiny_model, pairs, tmp_path / "lora")
    plain, trained = drawn(str(tiny_model)), drawn(f"{tiny_model}+lora={tmp_path / 'lora'}")
    assert np.abs(plain - trained).max() > 1


def test_a_stopped_training_goes_on_to_the_weights_of_an_undisturbed_one(
    tiny_model: Path, pairs: Path, tmp_path: Path
) -> None:
    whole = run(tiny_model, pairs, tmp_path / "whole")
    assert run(tiny_model, pairs, tmp_path / "parts", steps=2).steps == 2
    assert not (tmp_path / "parts" / ADAPTER).exists()
    assert run(tiny_model, pairs, tmp_path / "parts").losses == whole.losses
    assert same(tmp_path / "whole", tmp_path / "parts")
    assert (tmp_path / "whole" / PROVENANCE).read_bytes() == (tmp_path / "parts" / PROVENANCE).read_bytes()


def test_gradient_checkpointing_changes_memory_and_nothing_else(tiny_model: Path, pairs: Path, tmp_path: Path) -> None:
    recipe = Recipe(steps=2, batch_size=2, rank=2)
    plain = run(tiny_model, pairs, tmp_path / "plain", recipe)
    saving = run(tiny_model, pairs, tmp_path / "saving", recipe, running=Running(gradient_checkpointing=True))
    assert saving.losses == pytest.approx(plain.losses, rel=1e-5)


def test_a_model_in_half_precision_trains_an_adapter_in_full(tiny_model: Path, pairs: Path, tmp_path: Path) -> None:
    """A step of 1e-6 is far below what bfloat16 can add to a weight of the adapter."""
    recipe = Recipe(steps=2, batch_size=2, rank=2, learning_rate=1e-6, dtype="bfloat16", saved_dtype="float32")
    run(tiny_model, pairs, tmp_path / "lora", recipe)
    outer = [tensor for name, tensor in load_file(tmp_path / "lora" / ADAPTER).items() if "lora_B" in name]
    assert {tensor.dtype for tensor in outer} == {torch.float32}
    assert 0 < max(float(tensor.abs().max()) for tensor in outer) < 1e-5


def test_another_seed_trains_another_adapter(tiny_pipeline: Path, pairs: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        run(tiny_pipeline, pairs, tmp_path / name, Recipe(steps=2, batch_size=2, rank=2, seed=seed))
    assert same(tmp_path / "one", tmp_path / "again")
    assert not same(tmp_path / "one", tmp_path / "other")


def test_a_killed_training_ends_with_the_weights_of_an_undisturbed_one(
    tiny_pipeline: Path, pairs: Path, tmp_path: Path
) -> None:
    options = [f"--data={pairs}", "--steps=40", "--batch-size=2", "--rank=2", "--device=cpu", "--checkpoint-every=1"]
    command = [sys.executable, "-c", "from aes_audit.command.main import main; raise SystemExit(main())", "train-lora"]
    killed = subprocess.Popen([*command, str(tiny_pipeline), *options, f"--output={tmp_path / 'killed'}"])
    place = Workplace(tmp_path / "killed")
    while not place.checkpoint.is_file() and killed.poll() is None:
        time.sleep(0.002)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert place.state is State.BEGUN
    recipe = Recipe(steps=40, batch_size=2, rank=2)
    assert run(tiny_pipeline, pairs, tmp_path / "killed", recipe).finished
    run(tiny_pipeline, pairs, tmp_path / "whole", recipe)
    assert same(tmp_path / "killed", tmp_path / "whole")
    left = {path.name for path in (tmp_path / "killed").iterdir()}
    assert left == {ADAPTER, PROVENANCE}


def test_adapters_of_the_spec_are_fused_before_the_training(
    tiny_pipeline: Path, tiny_lora: Path, pairs: Path, tmp_path: Path
) -> None:
    """Both runs learn the same task; from another start the first loss must differ."""
    plain = run(tiny_pipeline, pairs, tmp_path / "plain")
    on_top = run(f"{tiny_pipeline}+lora={tiny_lora}", pairs, tmp_path / "on_top")
    assert plain.losses[0] != on_top.losses[0]
    base = json.loads((tmp_path / "on_top" / PROVENANCE).read_text())["base"]
    assert len(base["loras"]) == 1


def test_gradients_of_two_batches_make_one_update(tiny_pipeline: Path, pairs: Path, tmp_path: Path) -> None:
    """Halves of a batch are other draws than the whole: the number of updates and the mean loss tell them."""
    outcome = run(tiny_pipeline, pairs, tmp_path / "two", Recipe(steps=3, batch_size=2, accumulate=2, rank=2))
    assert (outcome.steps, outcome.finished) == (3, True)


def test_a_pair_of_great_weight_is_what_is_learnt(tiny_pipeline: Path, tmp_path: Path) -> None:
    rows = [
        {"image": f"{name}.png", "prompt": "a house", "weight": weight}
        for name, weight in zip("abc", (1e9, 1, 1), strict=True)
    ]
    heavy = write_pairs(tmp_path / "heavy", rows=rows)
    alone = write_pairs(tmp_path / "alone", rows=rows[:1])
    assert run(tiny_pipeline, heavy, tmp_path / "one").losses == pytest.approx(
        run(tiny_pipeline, alone, tmp_path / "two").losses
    )


def test_alpha_scales_what_other_loaders_read(tiny_pipeline: Path, pairs: Path, tmp_path: Path) -> None:
    """The file has no alpha, so its strength must lie in the weights: twice the alpha, twice lora_B at a tiny step."""
    tiny = {"steps": 1, "batch_size": 2, "rank": 2, "learning_rate": 1e-6}
    for name, alpha in (("plain", None), ("double", 4)):
        run(tiny_pipeline, pairs, tmp_path / name, Recipe(**tiny, alpha=alpha))  # type: ignore[arg-type]
    plain, double = load_file(tmp_path / "plain" / ADAPTER), load_file(tmp_path / "double" / ADAPTER)
    outer = [name for name in plain if "lora_B" in name and plain[name].abs().max() > 0]
    assert outer
    for name in outer:
        # The first step of AdamW is the rate in every weight, whatever the gradient's size.
        clear = plain[name].abs() > 5e-7
        assert torch.allclose(double[name][clear], 2 * plain[name][clear], rtol=0.05)
