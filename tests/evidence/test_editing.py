"""Collecting edits with real (tiny) models and a real store: the right sources, complete, resumable."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evidence.tiny_audit import PAIRS, PROMPTS, TinyAudit, contents
from numpy.typing import NDArray
from PIL import Image

from aes_audit.errors import InfrastructureError
from aes_audit.evidence.editing import EditSources, choose_sources, collect_edits
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.keys import item_seed
from aes_audit.evidence.reading import read_evidence
from aes_audit.evidence.schema import Row
from aes_audit.evidence.store import Store
from aes_audit.evidence.table import Evidence
from aes_audit.generators.editing import ResolvedEditor
from aes_audit.generators.resolve import DiffusersModel, resolve_generator
from aes_audit.judges.registry import ClassifierJudgeModel
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.rewards.registry import ClipRewardModel

ARMS = ("source", "edited")


@dataclass(frozen=True)
class TinyEditing:
    """One tiny model draws the sources, another one edits them."""

    audit: TinyAudit
    editor: DiffusersModel

    @property
    def sources(self) -> EditSources:
        """All wide images, whatever a judge of random weights says about them."""
        return EditSources(self.audit.generator, PROMPTS, PAIRS)

    def collect(self, store: Store | Path) -> Evidence:
        """The edits of the three wide images."""
        opened = store if isinstance(store, Store) else Store(store)
        self.audit.collect(opened)
        editor = ResolvedEditor(self.editor)
        return collect_edits(editor, self.sources, self.audit.instruments, opened, LocalEngine())


@pytest.fixture(scope="module")
def editing(tiny_pipeline: Path, tiny_lora: Path, tiny_clip: Path, tiny_judge: Path) -> TinyEditing:
    """The tiny models."""
    spec = f"{tiny_pipeline}+lora={tiny_lora}"
    editor = resolve_generator(spec, root=Path("/nowhere"), device="cpu")
    return TinyEditing(TinyAudit(tiny_pipeline, tiny_clip, tiny_judge), editor)


@pytest.fixture(scope="module")
def undisturbed(editing: TinyEditing, tmp_path_factory: pytest.TempPathFactory) -> tuple[Evidence, Path]:
    """What a run finds that nobody disturbs, and its store; copy the store before changing it."""
    root = tmp_path_factory.mktemp("undisturbed")
    return editing.collect(root), root


@pytest.fixture
def store(undisturbed: tuple[Evidence, Path], tmp_path: Path) -> Path:
    """A finished store to spoil."""
    return Path(shutil.copytree(undisturbed[1], tmp_path / "store"))


def digests(evidence: Evidence, image: str) -> dict[str, str]:
    """Item -> digest of its image."""
    rows = evidence.frame[evidence.frame["image"] == image]
    return dict(zip(rows["item"], rows["image_sha256"], strict=True))


def pixels(root: Path, sha256: str) -> NDArray[np.int16]:
    """An image of a store."""
    file = root / "blobs" / sha256[:2] / f"{sha256}.png"
    return np.asarray(Image.open(io.BytesIO(file.read_bytes()))).astype(np.int16)


class TestCompleteEvidence:
    """What a run finds that nobody disturbs."""

    def test_it_passes_the_checks_of_a_recorded_file(self, undisturbed: tuple[Evidence, Path], tmp_path: Path) -> None:
        evidence, _ = undisturbed
        evidence.to_parquet(tmp_path / "e.parquet")
        assert read_evidence(tmp_path / "e.parquet") == evidence

    def test_it_has_every_row_of_every_edit_under_the_name_of_the_editing_model(
        self, undisturbed: tuple[Evidence, Path], editing: TinyEditing
    ) -> None:
        frame = undisturbed[0].frame
        asked: set[tuple[str | None, str]] = {
            (prompt, f"tiny/{name}") for name in ("clip", "scaled") for prompt in ("original", "wide")
        }
        asked |= {(None, f"judge/{name}") for name in DIMENSIONS}
        for pair in PAIRS:
            for arm in ARMS:
                rows = frame[(frame["item"] == pair.id) & (frame["image"] == arm)]
                prompts = [None if prompt != prompt else prompt for prompt in rows["prompt"]]
                assert len(rows) == len(asked)
                assert set(zip(prompts, rows["scorer"], strict=True)) == asked
        assert frame["value"].notna().all()
        assert (set(frame["model"]), set(frame["set"])) == ({editing.editor.name}, {"edits"})
        assert (set(frame["edit_source"]), set(frame["strength"])) == ({editing.audit.generator.name}, {0.5})

    def test_sources_are_the_wide_images_as_they_were_drawn_and_scored(
        self, undisturbed: tuple[Evidence, Path], editing: TinyEditing
    ) -> None:
        evidence, root = undisturbed
        pairs = editing.audit.collect(root)
        assert digests(evidence, "source") == digests(pairs, "wide")
        for scorer in ("tiny/clip", "tiny/scaled"):
            for prompt in ("original", "wide"):
                source = evidence.values(editing.editor.name, "edits", scorer, "source", prompt)
                assert source.equals(pairs.values(editing.audit.generator.name, "pairs", scorer, "wide", prompt))

    def test_every_source_becomes_an_image_of_its_own(self, undisturbed: tuple[Evidence, Path]) -> None:
        sources, edits = (digests(undisturbed[0], arm) for arm in ARMS)
        assert not set(sources.values()) & set(edits.values())
        assert len(set(edits.values())) == len(PAIRS)

    def test_the_seed_is_neither_that_of_the_source_nor_another_for_another_editor(
        self, undisturbed: tuple[Evidence, Path]
    ) -> None:
        seeds = undisturbed[0].frame.groupby("item")["seed"].unique()
        assert {item: list(values) for item, values in seeds.items()} == {
            pair.id: [item_seed("tiny, edits", pair.id)] for pair in PAIRS
        }
        assert not {values[0] for values in seeds} & {item_seed("tiny", pair.id) for pair in PAIRS}

    def test_the_record_of_an_edit_names_its_source(self, undisturbed: tuple[Evidence, Path]) -> None:
        evidence, root = undisturbed
        records = [json.loads(file.read_text())["record"] for file in (root / "images").rglob("*.json")]
        edited = {record["sha256"]: record["source"] for record in records if "source" in record}
        sources, edits = (digests(evidence, arm) for arm in ARMS)
        assert edited == {edits[item]: sources[item] for item in edits}


def test_an_edit_is_the_same_whatever_the_batch_size(
    undisturbed: tuple[Evidence, Path], editing: TinyEditing, tmp_path: Path
) -> None:
    settings = replace(editing.editor.settings, batch_size=1)
    alone = replace(editing, editor=replace(editing.editor, settings=settings)).collect(tmp_path)
    one, other = digests(alone, "edited"), digests(undisturbed[0], "edited")
    for item in one:
        assert abs(pixels(tmp_path, one[item]) - pixels(undisturbed[1], other[item])).max() <= 1


class TestAgain:
    """What is in the store is not made again, and what is not ends as in an undisturbed run."""

    def test_a_second_run_loads_no_model_and_finds_the_same(
        self,
        undisturbed: tuple[Evidence, Path],
        store: Path,
        editing: TinyEditing,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def refuse(self: Any) -> None:
            raise AssertionError(f"{self.name} was loaded")

        for model in (DiffusersModel, ResolvedEditor, ClipRewardModel, ClassifierJudgeModel):
            monkeypatch.setattr(model, "load", refuse)
        before = contents(store)
        assert editing.collect(store) == undisturbed[0]
        assert contents(store) == before

    @pytest.mark.parametrize("kept", range(len(PAIRS)))
    def test_an_interrupted_run_goes_on(
        self, undisturbed: tuple[Evidence, Path], editing: TinyEditing, tmp_path: Path, kept: int
    ) -> None:
        class Interrupted(BaseException):
            """What Control-C does."""

        class FragileStore(Store):
            """A store that is interrupted before it keeps its nth edit: a fault."""

            left = kept

            def put_image(self, key: str, png: bytes, record: Mapping[str, Any]) -> None:
                if "source" in record:
                    if self.left == 0:
                        raise Interrupted
                    self.left -= 1
                super().put_image(key, png, record)

        with pytest.raises(Interrupted):
            editing.collect(FragileStore(tmp_path))
        assert editing.collect(tmp_path) == undisturbed[0]
        assert contents(tmp_path) == contents(undisturbed[1])

    @pytest.mark.parametrize("image", ARMS)
    def test_a_picture_that_changed_on_disk_is_made_again_as_it_was(
        self, undisturbed: tuple[Evidence, Path], store: Path, editing: TinyEditing, image: str
    ) -> None:
        sha256 = digests(undisturbed[0], image)["p2"]
        blob = store / "blobs" / sha256[:2] / f"{sha256}.png"
        png = blob.read_bytes()
        blob.write_bytes(png[:50] + bytes([png[50] ^ 1]) + png[51:])
        for file in [*(store / "images").rglob("*.json"), *(store / "scores").rglob("*.json")]:
            record = json.loads(file.read_text())["record"]
            if "source" in record if image == "source" else record.get("image_sha256") == sha256:
                file.unlink()
        with pytest.warns(UserWarning, match="had changed on disk"):
            assert editing.collect(store) == undisturbed[0]
        assert contents(store) == contents(undisturbed[1])


def test_an_edit_whose_source_is_missing_is_missing_for_the_sources_reason(
    undisturbed: tuple[Evidence, Path], store: Path, editing: TinyEditing
) -> None:
    sha256 = digests(undisturbed[0], "source")["p2"]
    (file,) = [file for file in (store / "images").rglob("*.json") if f'"sha256":"{sha256}"' in file.read_text()]
    Store(store).put_missing_image(file.stem, "black", {"kind": "black"})
    frame = editing.collect(store).frame
    lost = frame[frame["item"] == "p2"]
    assert lost["value"].isna().all()
    assert set(lost[lost["image"] == "source"]["error"]) == {"black"}
    assert set(lost[lost["image"] == "edited"]["error"]) == {"its source is missing: black"}
    assert frame[frame["item"] != "p2"]["value"].notna().all()


class TestChoosing:
    """Which wide images are edited."""

    def choose(self, truths: Mapping[str, float | None], limit: int = 10) -> list[str]:
        """Ids of the chosen pairs when the judge said this."""
        generator = resolve_generator("control/faithful", root=Path("/nowhere"), device="cpu")
        rows = [
            Row(
                generator.name,
                "pairs",
                item,
                "pair",
                "wide",
                "preference/t",
                value,
                None if value is not None else "lost",
            )
            for item, value in truths.items()
        ]
        evidence = Evidence.from_rows(rows)
        found = choose_sources(generator, PROMPTS, evidence, truth="preference/t", limit=limit)
        assert (found.generator, found.plan) == (generator, PROMPTS)
        return [pair.id for pair in found.pairs]

    def test_only_those_that_are_what_was_asked_for(self) -> None:
        assert self.choose({"p1": 1.0, "p2": 0.0, "p3": 1.0}) == ["p1", "p3"]

    def test_a_tie_and_a_missing_image_are_not(self) -> None:
        assert self.choose({"p1": 0.5, "p2": None, "p3": 1.0}) == ["p3"]

    def test_the_first_of_the_plan_up_to_the_limit(self) -> None:
        assert self.choose({"p3": 1.0, "p2": 1.0, "p1": 1.0}, limit=2) == ["p1", "p2"]

    def test_when_there_is_none_nothing_can_be_measured(self) -> None:
        with pytest.raises(
            InfrastructureError, match=r"none of the 3 wide images of control/faithful .* --audit-edit-source"
        ):
            self.choose({"p1": 0.0, "p2": 0.5, "p3": 0.0})
