"""Dimension judges: probabilities, scores, and labels that are not there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import ConvNextForImageClassification

from aes_audit.errors import InfrastructureError, UnknownName
from aes_audit.judges import registry
from aes_audit.judges.classifier import ClassifierJudge, load_classifier_judge
from aes_audit.judges.registry import resolve_judge
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.weights.source import Source


def pictures(count: int) -> list[Image.Image]:
    """Noise of several sizes."""
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (16 + 5 * n, 16, 3), dtype=np.uint8)) for n in range(count)]


@pytest.fixture(scope="module")
def judge(tiny_judge: Path) -> ClassifierJudge:
    """The tiny judge, loaded."""
    return load_classifier_judge(tiny_judge, device="cpu")


def test_probabilities_of_a_dimension_sum_to_one(judge: ClassifierJudge) -> None:
    probabilities = judge.probabilities(pictures(4), DIMENSIONS)
    assert probabilities.shape == (4, len(DIMENSIONS), 3)
    assert probabilities.dtype == np.float64
    assert (probabilities > 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=-1), 1, atol=1e-12)


def test_the_score_is_the_expected_level(judge: ClassifierJudge) -> None:
    images = pictures(4)
    probabilities, scores = judge.probabilities(images, DIMENSIONS), judge.score(images, DIMENSIONS)
    np.testing.assert_allclose(scores, probabilities[..., 1] + 2 * probabilities[..., 2], atol=1e-12)
    assert ((scores >= 0) & (scores <= 2)).all()


def test_probabilities_agree_with_a_direct_computation(judge: ClassifierJudge, tiny_judge: Path) -> None:
    model = ConvNextForImageClassification.from_pretrained(tiny_judge).eval()
    image = pictures(1)[0]
    pixels = (torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None] / 255 - 0.5) / 0.5
    with torch.no_grad():
        logits = model(pixel_values=pixels).logits[0].double()
    for number, dimension in enumerate(DIMENSIONS):
        levels = [model.config.label2id[f"{dimension}={level}"] for level in (0, 1, 2)]
        expected = torch.softmax(logits[levels], dim=0).numpy()
        np.testing.assert_allclose(judge.probabilities([image], DIMENSIONS)[0, number], expected, atol=1e-6)


def test_dimensions_are_answered_in_the_order_asked(judge: ClassifierJudge) -> None:
    images = pictures(2)
    some = (DIMENSIONS[7], DIMENSIONS[2])
    np.testing.assert_allclose(judge.score(images, some), judge.score(images, DIMENSIONS)[:, [7, 2]], atol=1e-6)


def test_scores_do_not_depend_on_the_batch(judge: ClassifierJudge) -> None:
    images = pictures(5)
    alone = np.concatenate([judge.score([image], DIMENSIONS) for image in images])
    np.testing.assert_allclose(judge.score(images, DIMENSIONS), alone, atol=1e-5)


def test_an_unknown_dimension_is_refused_with_those_that_exist(judge: ClassifierJudge) -> None:
    with pytest.raises(ValueError, match=r"^the judge has no label 'beauty=0'; it knows .*clarity=0.*$"):
        judge.score(pictures(1), ["clarity", "beauty"])


@pytest.mark.parametrize("length", [0, 100, -10])
def test_truncated_weights_are_one_line_that_names_the_folder(tiny_judge: Path, tmp_path: Path, length: int) -> None:
    folder = Path(shutil.copytree(tiny_judge, tmp_path / "judge"))
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(InfrastructureError, match=rf"^judge folder '{folder}' cannot be loaded: [^\n]+$"):
        load_classifier_judge(folder, device="cpu")


def test_a_head_that_was_never_trained_is_not_made_up(tiny_judge: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_judge, tmp_path / "judge"))
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith("classifier")}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InfrastructureError, match=r"its weights lack classifier\.bias and 1 more\.$"):
        load_classifier_judge(folder, device="cpu")


def test_a_model_that_is_no_image_classifier_is_refused_in_one_line(tiny_clip: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_clip, tmp_path / "clip"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "gpt2"}))
    with pytest.raises(InfrastructureError, match=rf"^judge folder '{folder}' cannot be loaded: [^\n]+$"):
        load_classifier_judge(folder, device="cpu")


def test_a_named_judge_is_pinned_and_loads(tiny_judge: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.JUDGES, "tiny", Source(tiny_judge))
    judge = resolve_judge("tiny", device="cpu")
    assert judge.revision == judge.identity["weights"]["revision"]
    assert resolve_judge("tiny", device="cuda").identity == judge.identity
    assert judge.load().score(pictures(1), DIMENSIONS).shape == (1, len(DIMENSIONS))


def test_an_unknown_judge_lists_what_exists() -> None:
    with pytest.raises(UnknownName, match=r"^unknown dimension judge 'control/juge'\. Did you mean 'control/judge'\?"):
        resolve_judge("control/juge", device="cpu")
