"""Tuples that a (tiny) model draws and edits, with a real store: complete, seeded by item, resumable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evidence.tuples import Function

from aes_audit.evidence.emotion_edits import EditedTuples, collect_edited_emotion
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.schema import EMOTIONS
from aes_audit.evidence.store import Store
from aes_audit.evidence.table import Evidence
from aes_audit.generators.editing import STRENGTH, ResolvedEditor
from aes_audit.generators.resolve import DiffusersModel, resolve_generator
from aes_audit.measures.registry import measure
from aes_audit.prompts.emotion import EmotionTemplate, EmotionTemplates

TEMPLATES = EmotionTemplates(
    "faces", (EmotionTemplate("f1", "a cat, {emotion}"), EmotionTemplate("f2", "a dog, {emotion}")), "digest"
)


@pytest.fixture(scope="module")
def model(tiny_pipeline: Path) -> DiffusersModel:
    """What draws and edits."""
    return resolve_generator(str(tiny_pipeline), root=Path("/nowhere"), device="cpu")


@pytest.fixture(scope="module")
def finished(model: DiffusersModel, tmp_path_factory: pytest.TempPathFactory) -> tuple[Evidence, Path]:
    """What a run finds that nobody disturbs, and its store."""
    root = tmp_path_factory.mktemp("edits")
    return collect(model, Function("length", length), root), root


def length(image: Any, text: str) -> float:
    """As long as its text."""
    return float(len(text))


def brightness(image: Any, text: str) -> float:
    """Of the picture alone."""
    return float(np.asarray(image).mean())


def collect(model: DiffusersModel, reward: Function, root: Path) -> Evidence:
    """The evidence of one reward on two edited faces."""
    tuples = EditedTuples(ResolvedEditor(model), TEMPLATES)
    return collect_edited_emotion(tuples, "tiny edits", [reward], Store(root), LocalEngine())


def test_every_tuple_is_a_happy_face_and_three_edits_of_it(finished: tuple[Evidence, Path]) -> None:
    table, root = finished
    assert table.models == ("tiny edits",)
    assert len(table) == 2 * 10
    frame = table.frame.drop_duplicates(["item", "image"]).set_index(["item", "image"])
    assert set(frame.index) == {(item, emotion) for item in ("f1", "f2") for emotion in EMOTIONS}
    digests = frame["image_sha256"].unstack()
    assert digests["happy"].nunique() == 2
    assert all((digests["happy"] != digests[emotion]).all() for emotion in EMOTIONS[1:])
    assert set(frame["strength"]) == {STRENGTH}
    seeds = frame["seed"].unstack()
    assert (seeds["sad"] == seeds["angry"]).all()
    assert len({*seeds["happy"], *seeds["sad"]}) == 4, "one per item and way of making, none shared"
    records = [path.read_text() for path in (root / "images").rglob("*.json")]
    assert sum('"task": "edit"' in record or '"task":"edit"' in record for record in records) == 6


def test_captions_name_the_emotion_that_was_asked_for(finished: tuple[Evidence, Path]) -> None:
    frame = finished[0].frame
    expected = frame["prompt"].str.len() + len("a cat, ")
    assert (frame["value"] == expected).all()
    found = measure("emotion_accuracy", finished[0], model="tiny edits", scorer="length", group="sad")
    assert (found.n, found.details["ties"]) == (2, 2)


def test_a_second_reward_draws_nothing(
    model: DiffusersModel, finished: tuple[Evidence, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: DiffusersModel) -> None:
        raise AssertionError("a model was loaded although every image is there")

    monkeypatch.setattr(DiffusersModel, "load", refuse)
    again = collect(model, Function("other", brightness), finished[1])
    assert set(again.frame["image_sha256"]) == set(finished[0].frame["image_sha256"])


def test_an_image_that_changed_on_disk_is_made_again(model: DiffusersModel, finished: tuple[Evidence, Path]) -> None:
    table, root = finished
    frame = table.frame
    sha256 = frame[(frame["item"] == "f1") & (frame["image"] == "happy")]["image_sha256"].iloc[0]
    blob = root / "blobs" / sha256[:2] / f"{sha256}.png"
    content = blob.read_bytes()
    blob.write_bytes(content[:60] + bytes([content[60] ^ 1]) + content[61:])
    with pytest.warns(UserWarning, match="changed"):
        again = collect(model, Function("third", brightness), root)
    assert blob.read_bytes() == content
    assert again.frame["error"].isna().all()


def test_without_a_happy_image_its_edits_are_missing_for_its_reason(
    model: DiffusersModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aes_audit.evidence import emotion_edits
    from aes_audit.evidence.generating import generate_images
    from aes_audit.evidence.store import ImageRecord

    def one_is_black(generator: Any, jobs: Any, *rest: Any) -> list[ImageRecord]:
        found = generate_images(generator, jobs, *rest)
        return [ImageRecord(found[0].key, None, "black", {}), *found[1:]] if jobs[0].image == "happy" else found

    monkeypatch.setattr(emotion_edits, "generate_images", one_is_black)
    frame = collect(model, Function("length", length), tmp_path).frame
    errors = frame[frame["item"] == "f1"].groupby("image")["error"].first()
    assert errors["happy"] == "black"
    assert {errors[emotion] for emotion in EMOTIONS[1:]} == {"its happy image is missing: black"}
    assert frame[frame["item"] == "f2"]["error"].isna().all()


def test_model_settings_and_captions_are_the_identity(model: DiffusersModel) -> None:
    tuples = EditedTuples(ResolvedEditor(model), TEMPLATES)
    stronger = EditedTuples(ResolvedEditor(model, strength=0.7), TEMPLATES)
    others = EditedTuples(ResolvedEditor(model), EmotionTemplates("faces", TEMPLATES.templates, "other"))
    assert len({tuples.digest, stronger.digest, others.digest}) == 3
    again = EditedTuples(ResolvedEditor(model), TEMPLATES, repeat=1)
    assert again.digest == tuples.digest
    assert again.seed(TEMPLATES.templates[0], "happy") != tuples.seed(TEMPLATES.templates[0], "happy")
