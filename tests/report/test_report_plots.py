"""The plots: their numbers, and that their SVG can stand in a page."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from report.audited_pairs import ALIGNED, BASE, JUDGE, entry_of, evidence_of, material
from sklearn.metrics import roc_auc_score, roc_curve

from aes_audit.evidence.schema import EMOTIONS
from aes_audit.evidence.table import Evidence
from aes_audit.report.html.plots.art import strip
from aes_audit.report.html.plots.canvas import Plot
from aes_audit.report.html.plots.discrimination import roc, roc_points
from aes_audit.report.html.plots.distributions import distributions
from aes_audit.report.html.plots.emotions import confusion, confusion_counts
from aes_audit.report.html.plots.forest import forest
from aes_audit.report.html.sections import base_measurements

ITEMS = [f"{number:02}" for number in range(24)]
SVG = "{http://www.w3.org/2000/svg}"


def _texts(plot: Plot) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(plot.svg).iter(f"{SVG}text")]


def _safe(plot: Plot) -> None:
    root = ElementTree.fromstring(plot.svg)
    assert root.get("role") == "img"
    names = [element.text for element in root if element.tag in (f"{SVG}title", f"{SVG}desc")]
    assert names == [plot.title, plot.description]
    assert root.get("aria-labelledby") == f"{plot.name}-title {plot.name}-description"
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(set(ids)) == len(ids)
    for element in root.iter():
        assert element.tag not in (f"{SVG}style", f"{SVG}script", f"{SVG}image")
        for name, value in element.attrib.items():
            assert name != "style"
            assert "#0" not in value.replace("#0b57a4", ""), "a stand-in colour was left"
            assert not value.startswith(("http", "javascript"))
    assert plot.rows


def test_the_forest_has_every_gate_on_its_side_and_the_base_beside() -> None:
    source = material(ITEMS)
    base = base_measurements(source)
    found = forest(source.entries, base)
    assert found is not None
    _safe(found)
    labels = [row[0] for row in found.rows]
    assert labels == ["realignment_success · people", "quality_shift · pretty", "success_rate · people"]
    assert set(labels) <= set(_texts(found))
    assert [row[4] for row in found.rows][2] == "100.0%"
    assert "base model" in _texts(found)
    assert forest([{**entry, "threshold": None} for entry in source.entries], {}) is None


def test_names_are_text_and_no_formula() -> None:
    source = material(ITEMS)
    entries = [{**entry, "scorer": "$\\frac{1}{</svg><script>x"} for entry in source.entries]
    found = forest(entries, {})
    assert found is not None
    assert any("$\\frac{1}{</svg><script>x" in text for text in _texts(found))
    assert "<script" not in found.svg


def test_control_characters_in_a_name_leave_the_plot_readable() -> None:
    found = forest([{**entry, "scorer": "a\x00b\x1b[31m\u202e"} for entry in material(ITEMS).entries], {})
    assert found is not None
    _safe(found)


def test_distributions_show_both_images_of_both_models() -> None:
    table = evidence_of(ITEMS)
    found = distributions(table, [ALIGNED, BASE], "pretty", "plot")
    assert found is not None
    _safe(found)
    for model, image, row in zip((ALIGNED, ALIGNED, BASE, BASE), ("original", "wide") * 2, found.rows, strict=True):
        values = table.values(model, "pairs", "pretty", image, "original")
        assert row[0] == model
        assert row[3:5] == (f"{values.mean():.4g}", f"{values.std():.4g}")
    assert distributions(table, [ALIGNED], "absent", "plot") is None


@pytest.mark.parametrize("seed", range(3))
def test_the_roc_curve_is_that_of_scikit_learn(seed: int) -> None:
    draw = np.random.default_rng(seed)
    scores, positive = draw.integers(0, 6, 40).astype(float), draw.random(40) < 0.4
    false_rate, true_rate = roc_points(scores, positive)
    expected = roc_curve(positive, scores, drop_intermediate=False)
    assert np.allclose(false_rate, expected[0])
    assert np.allclose(true_rate, expected[1])


def test_the_roc_plot_is_about_the_pairs_whose_truth_is_no_tie() -> None:
    table = evidence_of(ITEMS)
    entry = entry_of(table, "reward_auroc", "pretty", at_least=0.7)
    found = roc(entry, table, "plot")
    assert found is not None
    _safe(found)
    truth = table.values(ALIGNED, "pairs", JUDGE, "pair", "wide")
    wide, original = (table.values(ALIGNED, "pairs", "pretty", image, "wide") for image in ("wide", "original"))
    assert f"AUROC {roc_auc_score(truth == 1, wide - original):.3f}" in " ".join(_texts(found))


def test_art_stands_style_by_style_in_sd_of_the_reference() -> None:
    originals = evidence_of(ITEMS, models=[BASE], images=False)
    works = [
        {"model": "human", "set": "art", "item": f"w{number}", "image": "work", "prompt": "caption", "scorer": "pretty",
         "value": float(number), "style": "cubism" if number % 2 else None}
        for number in range(8)
    ]  # fmt: skip
    table = Evidence.concat([originals, Evidence.from_rows(works)])
    entry = {
        "metric": "art_z", "model": "human", "scorer": "pretty", "verdict": "fail", "threshold": {"at_least": -1.0},
        "details": {"reference": {"model": BASE}},
    }  # fmt: skip
    found = strip(entry, table, "plot")
    assert found is not None
    _safe(found)
    reference = table.values(BASE, "pairs", "pretty", "original", "original")
    z = (np.arange(8.0) - reference.mean()) / reference.std()
    assert [row[:3] for row in found.rows] == [
        ("all works", "8", f"{z.mean():+.2f}"),
        ("cubism", "4", f"{z[1::2].mean():+.2f}"),
    ]


def test_emotions_are_counted_by_what_was_asked_and_what_fits_best() -> None:
    fits = {("sad", 0): "happy", ("sad", 1): "sad", ("happy", 0): "happy", ("angry", 0): "fearful"}
    rows = [
        {"model": "g", "set": "emotion", "item": str(item), "image": asked, "prompt": statement,
         "scorer": "blip-itm/face", "value": 0.9 if statement == best else 0.1}
        for (asked, item), best in fits.items()
        for statement in EMOTIONS
    ]  # fmt: skip
    # A tie and a face without all four statements say nothing.
    rows += [{**rows[0], "item": "tie", "prompt": statement, "value": 0.5} for statement in EMOTIONS]
    rows += [{**rows[0], "item": "part", "value": 0.9}]
    table = Evidence.from_rows(rows)
    counts = confusion_counts(table, "g", "blip-itm/face")
    expected = np.zeros((4, 4), dtype=int)
    for (asked, _), best in fits.items():
        expected[EMOTIONS.index(asked), EMOTIONS.index(best)] += 1
    assert (counts == expected).all()
    found = confusion(table, "g", "blip-itm/face", "plot")
    assert found is not None
    _safe(found)
    assert found.rows[1] == ("sad", "1", "1", "0", "0", "2")
    assert confusion(table, "absent", "blip-itm/face", "plot") is None


def test_the_matrix_counts_the_faces_that_the_measurement_counts() -> None:
    about = {"model": "g", "set": "emotion", "scorer": "c/face"}
    cells = [(item, image, said) for item in ("a", "b") for image in EMOTIONS for said in EMOTIONS]
    rows = [
        {**about, "item": item, "image": image, "prompt": said, "value": float(image == said)}
        for item, image, said in cells
        if (item, image) != ("b", "sad")
    ]
    lost = [
        {**about, "item": "b", "image": "sad", "prompt": said, "value": None, "error": "black"} for said in EMOTIONS
    ]
    counts = confusion_counts(Evidence.from_rows([*rows, *lost]), "g", "c/face")
    assert (counts == np.eye(4)).all(), "the item with a lost face is missing as a whole"


def test_plots_of_one_run_are_the_same_file() -> None:
    source = material(ITEMS)
    first, second = (forest(replace(source).entries, {}) for _ in range(2))
    assert first == second
