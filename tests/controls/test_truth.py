"""The renderer as generator and judge: what the control judge is worth, and that its errors change no verdict."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, cohen_kappa_score

from aes_audit.controls.agreement import MODEL, judge_agreement, main
from aes_audit.controls.prompts import control_pairs, held_out
from aes_audit.controls.renderer import HEEDED, TRUTH, TruthModel, as_asked, beautified, drawn_scenes
from aes_audit.controls.world import render
from aes_audit.errors import UnknownName
from aes_audit.evidence.reading import read_evidence
from aes_audit.evidence.table import Evidence
from aes_audit.generators.protocol import ImageRequest, MissingImage
from aes_audit.judges.registry import resolve_judge
from aes_audit.measures.registry import measure
from aes_audit.prompts.dimensions import DIMENSIONS

ROOT = Path(__file__).resolve().parents[2]
PAIRS = control_pairs()[:6]


def pictures(style: Any, texts: list[str]) -> list[Any]:
    """What a style draws."""
    return list(style("r", "cpu").load().generate([ImageRequest(text, 1) for text in texts]))


@pytest.fixture(scope="module")
def ratings() -> Evidence:
    """All drawn pictures, by the control judge and by the renderer."""
    return judge_agreement()


class TestRenderer:
    """Pictures whose levels are known."""

    def test_as_asked_draws_the_scene_of_every_prompt(self) -> None:
        for drawn, pair in zip(pictures(as_asked, [pair.wide for pair in PAIRS]), PAIRS, strict=True):
            np.testing.assert_array_equal(np.asarray(drawn), render(pair.scene))

    def test_beautified_draws_plain_prompts_alike_and_wide_ones_prettier(self) -> None:
        texts = [pair.original for pair in PAIRS]
        for one, other in zip(pictures(as_asked, texts), pictures(beautified, texts), strict=True):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
        wide = pictures(beautified, [pair.wide for pair in control_pairs()[:40]])
        levels = TruthModel().score(wide, DIMENSIONS)
        asked = np.array([[name in pair.dimensions for name in DIMENSIONS] for pair in control_pairs()[:40]])
        assert set(levels[asked]) == {0.0, 2.0}
        assert abs((levels[asked] == 0).mean() - HEEDED) < 0.15
        np.testing.assert_array_equal(
            levels[~asked], np.array([pair.scene.levels for pair in control_pairs()[:40]])[~asked]
        )

    def test_a_prompt_of_another_set_has_no_picture(self) -> None:
        (answer,) = pictures(as_asked, ["a photograph of a horse"])
        assert isinstance(answer, MissingImage)

    def test_the_truth_says_the_levels_that_were_drawn(self) -> None:
        images = [Image.fromarray(render(scene)) for scene in drawn_scenes()[:8]]
        scores = resolve_judge(TRUTH, device="cpu").load().score(images, DIMENSIONS)
        np.testing.assert_array_equal(scores, [scene.levels for scene in drawn_scenes()[:8]])
        probabilities = TruthModel().probabilities(images, DIMENSIONS[:2])
        np.testing.assert_array_equal(probabilities @ [0, 1, 2], scores[:, :2])

    def test_the_truth_does_not_guess_about_other_pictures_or_dimensions(self) -> None:
        pixels = render(drawn_scenes()[0]).copy()
        pixels[0, 0] ^= 1
        assert np.isnan(TruthModel().score([Image.fromarray(pixels)], DIMENSIONS)).all()
        with pytest.raises(UnknownName, match="symmetry"):
            TruthModel().score([], ["symmetry"])


class TestAgreement:
    """What the control judge is worth."""

    def test_training_has_shown_none_of_the_wide_scenes(self) -> None:
        wide = drawn_scenes()[1::2]
        assert {(scene.kind, scene.colour, scene.place, scene.low) for scene in wide} == held_out()

    def test_the_judge_agrees_with_the_renderer_far_beyond_the_commonest_class(self, ratings: Evidence) -> None:
        kappa = measure("judge_agreement_quadratic_kappa", ratings, model=MODEL, scorer="judge", group="used")
        assert kappa.n == 300
        assert kappa.interval is not None
        assert kappa.interval[0] > 0.95
        for dimension in DIMENSIONS:
            found = measure("judge_agreement_accuracy", ratings, model=MODEL, scorer="judge", group=dimension)
            assert found.details["uninformative"] is False
            assert (found.estimate or 0.0) > 0.85

    def test_its_numbers_are_those_of_scikit_learn(self, ratings: Evidence) -> None:
        judged = ratings.values(MODEL, "ratings", "judge/detail realism", "work", None)
        true = ratings.values(MODEL, "ratings", "truth/detail realism", "work", None)
        classes = (np.rint(judged).astype(int), true.astype(int))
        for name, expected in (
            ("accuracy", accuracy_score(*classes)),
            ("quadratic_kappa", cohen_kappa_score(*classes, weights="quadratic")),
        ):
            found = measure(f"judge_agreement_{name}", ratings, model=MODEL, scorer="judge", group="detail realism")
            assert found.estimate == pytest.approx(expected)

    def test_the_command_writes_them_as_evidence(self, ratings: Evidence, tmp_path: Path) -> None:
        main(["--output", str(tmp_path / "of" / "ratings.parquet")])
        assert read_evidence(tmp_path / "of" / "ratings.parquet") == ratings


@pytest.mark.heavy
class TestVerdicts:
    """The control judge and the renderer's truth lead to the same verdicts."""

    def test_no_verdict_changes_when_the_control_judge_is_replaced_by_the_truth(self, tmp_path: Path) -> None:
        drawn = "aes_audit.controls.renderer"
        pair = [f"--model={drawn}:beautified", f"--base-model={drawn}:as_asked"]
        runs = (pair, [f"--model={drawn}:as_asked"], ["--reward=control/clip", "--reward=control/preference"])
        by_judge, by_truth = (
            {key: verdict for options in runs for key, verdict in verdicts(tmp_path, judge, *options).items()}
            for judge in ("control/judge", TRUTH)
        )
        assert by_judge == by_truth
        # It says something only because verdicts of both kinds occur that read the judge.
        read = [found for key, found in by_truth.items() if "judge" in f"{key[2]} {key[3]}"]
        assert {"pass", "fail"} <= set(read)
        assert len(read) >= 8


def verdicts(folder: Path, judge: str, *options: str) -> dict[tuple[Any, ...], str]:
    """Every verdict of a run over drawn pictures with this dimension judge."""
    thresholds, results = folder / "thresholds.toml", folder / "results.json"
    text = (ROOT / "audits" / "thresholds.toml").read_text()
    for old, new in (
        ('judge = "control/judge"', f'judge = "{judge}"'),
        (
            'pool = ["control/faithful", "control/beautified"]',
            'pool = ["aes_audit.controls.renderer:as_asked", "aes_audit.controls.renderer:beautified"]',
        ),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    thresholds.write_text(text)
    keep = [f"--audit-thresholds={thresholds}", f"--audit-store={folder / 'store'}", f"--audit-json={results}"]
    command = [sys.executable, "-m", "pytest", "audits/", "-q", "-p", "no:cacheprovider", *keep, *options]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    entries = json.loads(results.read_text())["measurements"]
    assert entries
    return {
        (entry["metric"], entry["model"], entry["scorer"], entry["details"].get("truth")): entry["verdict"]
        for entry in entries
    }
