"""Collecting with real (tiny) models and a real store: complete, resumable, and honest about what is missing."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from evidence.noise_generator import NoiseGenerator, noise
from evidence.tiny_audit import PAIRS, PROMPTS, TinyAudit, contents
from PIL import Image
from safetensors.torch import load_file, save_file

from aes_audit.errors import InfrastructureError
from aes_audit.evidence.collecting import collect_pairs
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.keys import item_seed
from aes_audit.evidence.progress import Progress, Tick
from aes_audit.evidence.reading import read_evidence
from aes_audit.evidence.store import ChangedImageWarning, CorruptObject, ImageRecord, Store
from aes_audit.evidence.table import Evidence
from aes_audit.generators.protocol import Answer, Generator, ImageRequest, MissingImage
from aes_audit.generators.resolve import DiffusersModel
from aes_audit.judges.registry import ClassifierJudgeModel
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.prompts.pairs import PromptPair, PromptSet
from aes_audit.rewards.registry import ClipRewardModel

IMAGES = ("original", "wide")


@pytest.fixture(scope="module")
def audit(tiny_pipeline: Path, tiny_clip: Path, tiny_judge: Path) -> TinyAudit:
    """The tiny models."""
    return TinyAudit(tiny_pipeline, tiny_clip, tiny_judge)


@pytest.fixture(scope="module")
def undisturbed(audit: TinyAudit, tmp_path_factory: pytest.TempPathFactory) -> tuple[Evidence, Path]:
    """What a run finds that nobody disturbs, and its store; copy the store before changing it."""
    root = tmp_path_factory.mktemp("undisturbed")
    return audit.collect(root), root


@pytest.fixture
def store(undisturbed: tuple[Evidence, Path], tmp_path: Path) -> Path:
    """A finished store to spoil."""
    return Path(shutil.copytree(undisturbed[1], tmp_path / "store"))


@pytest.fixture
def no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault: no model can be loaded any more."""
    forbid(monkeypatch, DiffusersModel, ClipRewardModel, ClassifierJudgeModel)


def forbid(monkeypatch: pytest.MonkeyPatch, *models: type) -> None:
    """Make loading these models an error."""

    def refuse(self: Any) -> None:
        raise AssertionError(f"{self.name} was loaded")

    for model in models:
        monkeypatch.setattr(model, "load", refuse)


class TestCompleteEvidence:
    """What a run finds that nobody disturbs."""

    def test_it_passes_the_checks_of_a_recorded_file(self, undisturbed: tuple[Evidence, Path], tmp_path: Path) -> None:
        evidence, _ = undisturbed
        evidence.to_parquet(tmp_path / "e.parquet")
        assert read_evidence(tmp_path / "e.parquet") == evidence

    def test_it_has_every_row_of_every_pair(self, undisturbed: tuple[Evidence, Path], audit: TinyAudit) -> None:
        frame = undisturbed[0].frame
        rewards = {
            (image, prompt, f"tiny/{name}") for name in ("clip", "scaled") for image in IMAGES for prompt in IMAGES
        }
        judged = {(image, None, f"judge/{name}") for image in IMAGES for name in DIMENSIONS}
        preferred = {("pair", "wide", f"preference/tiny-{name}") for name in ("clip", "judge")}
        for pair in PAIRS:
            rows = frame[frame["item"] == pair.id]
            prompts = [None if prompt != prompt else prompt for prompt in rows["prompt"]]
            assert len(rows) == len(rewards | judged | preferred)
            assert set(zip(rows["image"], prompts, rows["scorer"], strict=True)) == rewards | judged | preferred
        assert frame["value"].notna().all()
        assert set(frame["model"]) == {str(audit.pipeline)}
        assert set(frame["set"]) == {"pairs"}

    def test_it_knows_which_dimensions_were_asked_for(
        self, undisturbed: tuple[Evidence, Path], audit: TinyAudit
    ) -> None:
        assert undisturbed[0].selected(str(audit.pipeline), "pairs") == {
            pair.id: frozenset(pair.dimensions) for pair in PAIRS
        }

    def test_both_images_of_a_pair_share_the_seed_of_the_item(self, undisturbed: tuple[Evidence, Path]) -> None:
        seeds = undisturbed[0].frame.groupby("item")["seed"].unique()
        assert {item: list(values) for item, values in seeds.items()} == {
            pair.id: [item_seed("tiny", pair.id)] for pair in PAIRS
        }

    def test_scores_are_those_of_the_stored_images(self, undisturbed: tuple[Evidence, Path], audit: TinyAudit) -> None:
        evidence, root = undisturbed
        frame, loaded = evidence.frame, audit.rewards[0].load()
        judge = audit.instruments.judge
        assert judge is not None
        dimensions = judge.load()
        for pair, image in ((pair, image) for pair in PAIRS for image in IMAGES):
            rows = frame[(frame["item"] == pair.id) & (frame["image"] == image)]
            (sha256,) = set(rows["image_sha256"])
            picture = Image.open(root / "blobs" / sha256[:2] / f"{sha256}.png")
            values = rows.set_index(["scorer", "prompt"])["value"]
            for prompt, text in (("original", pair.original), ("wide", pair.wide)):
                assert values["tiny/clip", prompt] == pytest.approx(loaded.score([picture], [text])[0], abs=1e-5)
            expected = dimensions.score([picture], DIMENSIONS)[0]
            found = [values.xs(f"judge/{name}").iloc[0] for name in DIMENSIONS]
            np.testing.assert_allclose(found, expected, atol=1e-5)

    def test_preferences_follow_from_the_scores(self, undisturbed: tuple[Evidence, Path], audit: TinyAudit) -> None:
        evidence, model = undisturbed[0], str(audit.pipeline)
        wide = evidence.values(model, "pairs", "tiny/clip", "wide", "wide")
        original = evidence.values(model, "pairs", "tiny/clip", "original", "wide")
        decided = evidence.values(model, "pairs", "preference/tiny-clip", "pair", "wide")
        assert list(decided) == list((wide > original).astype(float))

    def test_images_are_kept_as_they_were_drawn(self, undisturbed: tuple[Evidence, Path], audit: TinyAudit) -> None:
        _, root = undisturbed
        blobs = [Image.open(file) for file in (root / "blobs").rglob("*.png")]
        requests = [
            ImageRequest(text, item_seed("tiny", pair.id)) for pair in PAIRS for text in (pair.original, pair.wide)
        ]
        generator = audit.generator.load()
        drawn = [*generator.generate(requests[:4]), *generator.generate(requests[4:])]
        assert {np.asarray(image).tobytes() for image in blobs} == {np.asarray(image).tobytes() for image in drawn}


class TestSecondRun:
    """What is in the store is not made again."""

    @pytest.mark.usefixtures("no_models")
    def test_it_loads_no_model_and_finds_the_same(
        self, undisturbed: tuple[Evidence, Path], store: Path, audit: TinyAudit
    ) -> None:
        before = contents(store)
        assert audit.collect(store) == undisturbed[0]
        assert contents(store) == before

    def test_a_scorer_that_joins_later_loads_no_generator(
        self, undisturbed: tuple[Evidence, Path], audit: TinyAudit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        few = replace(audit.instruments, rewards=audit.rewards[:1], preferences=())
        collect_pairs(audit.generator, PROMPTS, few, Store(tmp_path), LocalEngine())
        forbid(monkeypatch, DiffusersModel, ClassifierJudgeModel)
        assert audit.collect(tmp_path) == undisturbed[0]

    def test_a_lost_score_is_asked_for_again_and_nothing_else(
        self, undisturbed: tuple[Evidence, Path], store: Path, audit: TinyAudit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = contents(store)
        lost = min((store / "scores").rglob("*.json"))
        lost.unlink()
        forbid(monkeypatch, DiffusersModel)
        assert audit.collect(store) == undisturbed[0]
        assert contents(store) == before

    def test_another_seed_or_text_is_another_image(
        self, store: Path, audit: TinyAudit, undisturbed: tuple[Evidence, Path]
    ) -> None:
        prompts = replace(PROMPTS, name="other")
        other = collect_pairs(audit.generator, prompts, audit.instruments, Store(store), LocalEngine())
        assert not set(other.frame["image_sha256"].dropna()) & set(undisturbed[0].frame["image_sha256"].dropna())

    def test_without_scorers_there_is_nothing_to_judge_but_the_images_are_kept(
        self, audit: TinyAudit, tmp_path: Path, undisturbed: tuple[Evidence, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        matcher = audit.instruments.preferences[0]
        evidence = collect_pairs(
            audit.generator,
            PROMPTS,
            replace(audit.instruments, rewards=(), judge=None, preferences=(matcher,)),
            Store(tmp_path),
            LocalEngine(),
        )
        assert set(evidence.frame["error"].str.startswith("no score for ('tiny/clip', ")) == {True}
        forbid(monkeypatch, DiffusersModel)
        assert audit.collect(tmp_path) == undisturbed[0]


class Interrupted(BaseException):
    """What Control-C does, at a chosen moment."""


class FragileStore(Store):
    """A store that is interrupted before it keeps its nth image or score: a fault."""

    def __init__(self, root: Path, *, images: int = 1000, scores: int = 1000) -> None:
        super().__init__(root)
        self.images_left, self.scores_left = images, scores

    def put_image(self, key: str, png: bytes, record: Mapping[str, Any]) -> None:
        if self.images_left == 0:
            raise Interrupted
        self.images_left -= 1
        super().put_image(key, png, record)

    def put_scores(self, key: str, record: Mapping[str, Any]) -> None:
        if self.scores_left == 0:
            raise Interrupted
        self.scores_left -= 1
        super().put_scores(key, record)


@dataclass(frozen=True)
class Counting(Progress):
    """Remembers what every bar was told."""

    @contextmanager
    def bar(self, title: str, *, done: int, total: int, unit: str) -> Iterator[Tick]:
        """A bar that is a line in a list."""
        ticks: list[int] = []
        BARS.append((title, done, ticks, total))
        yield ticks.append


BARS: list[tuple[str, int, list[int], int]] = []


class TestInterruption:
    """A run that was stopped at any moment ends, when it is started again, where an undisturbed one ends."""

    @pytest.mark.parametrize("images", range(2 * len(PAIRS)))
    def test_after_any_number_of_images(
        self, undisturbed: tuple[Evidence, Path], audit: TinyAudit, tmp_path: Path, images: int
    ) -> None:
        with pytest.raises(Interrupted):
            audit.collect(FragileStore(tmp_path, images=images))
        assert audit.collect(tmp_path) == undisturbed[0]
        assert contents(tmp_path) == contents(undisturbed[1])

    def test_in_batches_of_one(self, audit: TinyAudit, tmp_path: Path) -> None:
        audit = replace(audit, batch_size=1)
        expected = audit.collect(tmp_path / "undisturbed")
        with pytest.raises(Interrupted):
            audit.collect(FragileStore(tmp_path / "store", images=3))
        assert audit.collect(tmp_path / "store") == expected
        assert contents(tmp_path / "store") == contents(tmp_path / "undisturbed")

    @pytest.mark.parametrize("scores", [0, 1, 6, 17])
    def test_after_any_number_of_scores(
        self,
        undisturbed: tuple[Evidence, Path],
        audit: TinyAudit,
        store: Path,
        scores: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        shutil.rmtree(store / "scores")
        forbid(monkeypatch, DiffusersModel)
        with pytest.raises(Interrupted):
            audit.collect(FragileStore(store, scores=scores))
        assert audit.collect(store) == undisturbed[0]
        assert contents(store) == contents(undisturbed[1])

    def test_twice_in_a_row(self, undisturbed: tuple[Evidence, Path], audit: TinyAudit, tmp_path: Path) -> None:
        for images in (1, 3):
            with pytest.raises(Interrupted):
                audit.collect(FragileStore(tmp_path, images=images))
        assert audit.collect(tmp_path) == undisturbed[0]
        assert contents(tmp_path) == contents(undisturbed[1])

    def test_the_bars_go_on_where_they_stopped(self, audit: TinyAudit, tmp_path: Path) -> None:
        with pytest.raises(Interrupted):
            audit.collect(FragileStore(tmp_path, images=5))
        BARS.clear()
        audit.collect(tmp_path, LocalEngine(Counting()))
        names = [f"{audit.pipeline}: images", *(f"tiny/{name}: scores" for name in ("clip", "scaled", "judge"))]
        assert [title for title, *_ in BARS] == names
        assert [done for _, done, *_ in BARS] == [5, 0, 0, 0]
        assert all(done + sum(ticks) == total == 6 for _, done, ticks, total in BARS)


class TestSpoiltStore:
    """What changed on disk is made again, bit for bit."""

    def spoil(self, root: Path, pattern: str, change: Callable[[bytes], bytes], count: int) -> None:
        """Change the first files that fit."""
        files = sorted(root.glob(pattern))[:count]
        assert len(files) == count
        for file in files:
            file.write_bytes(change(file.read_bytes()))

    @pytest.mark.parametrize("count", [1, 5, 6])
    def test_changed_bytes_of_any_number_of_images(
        self, undisturbed: tuple[Evidence, Path], audit: TinyAudit, store: Path, count: int
    ) -> None:
        shutil.rmtree(store / "scores")
        self.spoil(store, "blobs/??/*.png", lambda png: png[:-20] + bytes(20), count)
        assert audit.collect(store) == undisturbed[0]
        assert contents(store) == contents(undisturbed[1])

    def test_a_flipped_byte_is_found_remade_counted_and_warned_of(
        self, undisturbed: tuple[Evidence, Path], audit: TinyAudit, store: Path
    ) -> None:
        shutil.rmtree(store / "scores")
        self.spoil(store, "blobs/??/*.png", lambda png: png[:50] + bytes([png[50] ^ 1]) + png[51:], 1)
        opened, bystander = Store(store), Store(store)
        with pytest.warns(ChangedImageWarning, match=r"image [0-9a-f]{64} had changed on disk; it was dropped, to be"):
            assert audit.collect(opened) == undisturbed[0]
        assert contents(store) == contents(undisturbed[1])
        assert opened.changed == bystander.changed == 1
        assert Store(store).changed == 0, "what was found before belongs to another run"

    @pytest.mark.parametrize("pattern", ["blobs/??/*.png", "images/??/*.json", "scores/??/*.json"])
    @pytest.mark.parametrize("change", [lambda content: content[:-7], lambda content: b""], ids=["cut", "empty"])
    def test_objects_that_were_cut_off(
        self,
        undisturbed: tuple[Evidence, Path],
        audit: TinyAudit,
        store: Path,
        pattern: str,
        change: Callable[[bytes], bytes],
    ) -> None:
        self.spoil(store, pattern, change, 2)
        assert audit.collect(store) == undisturbed[0]
        assert contents(store) == contents(undisturbed[1])

    def test_a_disk_that_changes_everything_again_is_an_infrastructure_error(
        self, audit: TinyAudit, tmp_path: Path
    ) -> None:
        class Rotten(Store):
            def read_image(self, record: ImageRecord) -> bytes:
                raise CorruptObject("always")

        with pytest.raises(InfrastructureError, match=r"^.*: images in the store keep changing on disk; [^\n]*$"):
            audit.collect(Rotten(tmp_path))


@dataclass(frozen=True)
class Refusing:
    """A generator that makes no image of some prompts: a fault."""

    inner: DiffusersModel
    refused: frozenset[str]

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def revision(self) -> str:
        return self.inner.revision

    @property
    def identity(self) -> Mapping[str, Any]:
        return self.inner.identity

    @property
    def batch_size(self) -> int:
        return self.inner.batch_size

    @property
    def independent(self) -> bool:
        return self.inner.independent

    def load(self) -> Generator:
        return _RefusingGenerator(self.inner.load(), self.refused)


@dataclass(frozen=True)
class _RefusingGenerator:
    inner: Generator
    refused: frozenset[str]

    def generate(self, requests: Sequence[ImageRequest]) -> list[Answer]:
        answers = zip(requests, self.inner.generate(requests), strict=True)
        return [
            MissingImage("refused by a filter", "refused") if request.prompt in self.refused else image
            for request, image in answers
        ]


class TestMissingImages:
    """An image that cannot be made is an error in every row, and never a score."""

    def collect(self, audit: TinyAudit, store: Path, *refused: str) -> Evidence:
        """With a generator that refuses these prompts."""
        generator = Refusing(audit.generator, frozenset(refused))
        return collect_pairs(generator, PROMPTS, audit.instruments, Store(store), LocalEngine())

    def test_one_missing_image_takes_its_scores_and_the_preference_with_it(
        self, undisturbed: tuple[Evidence, Path], audit: TinyAudit, tmp_path: Path
    ) -> None:
        frame = self.collect(audit, tmp_path, PAIRS[1].wide).frame
        concerned = (frame["item"] == "p2") & frame["image"].isin(["wide", "pair"])
        assert set(frame[concerned & (frame["image"] == "wide")]["error"]) == {"refused by a filter"}
        assert set(frame[concerned & (frame["image"] == "pair")]["error"]) == {"wide: refused by a filter"}
        assert len(frame[concerned & (frame["image"] == "wide")]) == 4 + len(DIMENSIONS)
        assert set(frame[concerned & (frame["image"] == "wide")]["image_fault"]) == {"refused"}
        assert frame[~concerned]["image_fault"].isna().all()
        whole = undisturbed[0].frame
        assert frame[~concerned][["item", "scorer", "value"]].equals(whole[~concerned][["item", "scorer", "value"]])
        assert frame[concerned]["value"].isna().all()

    def test_both_missing_images_are_named(self, audit: TinyAudit, tmp_path: Path) -> None:
        frame = self.collect(audit, tmp_path, PAIRS[0].original, PAIRS[0].wide).frame
        said = set(frame[(frame["item"] == "p1") & (frame["image"] == "pair")]["error"])
        assert said == {"original: refused by a filter; wide: refused by a filter"}

    def test_a_picture_that_answers_two_items_is_scored_for_neither(self, audit: TinyAudit, tmp_path: Path) -> None:
        picture = noise(ImageRequest("one", 1))
        generator = NoiseGenerator({PAIRS[0].wide: picture, PAIRS[2].original: picture})
        frame = collect_pairs(generator, PROMPTS, audit.instruments, Store(tmp_path), LocalEngine()).frame
        lost = frame["image_fault"] == "duplicate"
        assert set(zip(frame[lost]["item"], frame[lost]["image"], strict=True)) == {("p1", "wide"), ("p3", "original")}
        assert frame[lost]["value"].isna().all()
        scored = frame[~lost & (frame["image"] != "pair")]
        assert scored["value"].notna().all()
        assert set(frame[(frame["image"] == "pair") & frame["value"].isna()]["item"]) == {"p1", "p3"}

    def test_a_generator_that_ignores_what_changed_in_the_prompt_is_scored_and_flagged(
        self, audit: TinyAudit, tmp_path: Path
    ) -> None:
        picture = noise(ImageRequest("one", 1))
        generator = NoiseGenerator({PAIRS[1].wide: picture, PAIRS[1].original: picture})
        frame = collect_pairs(generator, PROMPTS, audit.instruments, Store(tmp_path), LocalEngine()).frame
        assert frame["value"].notna().all()
        flagged = frame["image_flags"] == "identical_pair"
        assert set(zip(frame[flagged]["item"], frame[flagged]["image"], strict=True)) == {
            ("p2", "original"),
            ("p2", "wide"),
        }

    def test_a_picture_that_comes_again_in_a_later_round_is_scored_in_neither(
        self, audit: TinyAudit, tmp_path: Path
    ) -> None:
        pairs = tuple(PromptPair(f"p{n}", f"a cat {n}", f"a dark cat {n}", ("clarity",)) for n in range(40))
        picture = noise(ImageRequest("one", 1))
        answers = {pairs[2].wide: picture, pairs[39].wide: picture}
        prompts = PromptSet("many", pairs, "digest")
        few = replace(audit.instruments, rewards=audit.rewards[:1], preferences=audit.instruments.preferences[:1])
        rounds: list[int] = []

        def never(outcomes: Mapping[str, list[bool | None]]) -> bool:
            (found,) = outcomes.values()
            rounds.append(sum(value is None for value in found))
            return False

        args = (prompts, replace(few, judge=None), Store(tmp_path), LocalEngine())
        whole = collect_pairs(NoiseGenerator(answers), *args)
        in_rounds = collect_pairs(NoiseGenerator(answers), *args, never)
        assert rounds == [0, 0, 2]
        assert in_rounds == whole
        frame = whole.frame
        assert set(frame[frame["image_fault"] == "duplicate"]["item"]) == {"p2", "p39"}

    def test_what_the_generator_says_about_its_texts_stands_beside_every_score(
        self, audit: TinyAudit, tmp_path: Path
    ) -> None:
        long = PromptPair("p4", "a cat", "a cat in the rain at night alone", ("clarity",))
        prompts = replace(PROMPTS, pairs=(*PAIRS, long))
        frame = collect_pairs(NoiseGenerator(), prompts, audit.instruments, Store(tmp_path), LocalEngine()).frame
        drawn = frame[frame["image"] != "pair"]
        cut = drawn[drawn["prompt_truncated"].astype(bool)]
        assert set(zip(cut["item"], cut["image"], strict=True)) == {("p4", "wide")}
        assert set(cut["prompt_tokens"]) == {"words 8/6 cut"}
        assert drawn["prompt_tokens"].notna().all()

    def test_a_missing_image_is_not_tried_again(
        self, audit: TinyAudit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = self.collect(audit, tmp_path, PAIRS[1].wide)
        forbid(monkeypatch, DiffusersModel, ClipRewardModel, ClassifierJudgeModel)
        assert audit.collect(tmp_path) == first

    def test_when_every_image_is_missing_no_scorer_is_loaded(
        self, tiny_pipeline: Path, audit: TinyAudit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = Path(shutil.copytree(tiny_pipeline, tmp_path / "nan"))
        set_weights(folder / "transformer" / "diffusion_pytorch_model.safetensors", torch.nan)
        forbid(monkeypatch, ClipRewardModel, ClassifierJudgeModel)
        frame = replace(audit, pipeline=folder).collect(tmp_path / "store").frame
        assert frame["value"].isna().all()
        assert frame["error"].str.contains("the pipeline returned NaN or infinite pixels").all()

    def test_a_score_that_is_no_number_is_an_error_and_decides_nothing(
        self, undisturbed: tuple[Evidence, Path], audit: TinyAudit, tmp_path: Path
    ) -> None:
        folder = Path(shutil.copytree(audit.clip, tmp_path / "clip"))
        set_weights(folder / "model.safetensors", torch.nan, only="logit_scale")
        evidence = replace(audit, clip=folder).collect(tmp_path / "store")
        frame = evidence.frame
        scaled = frame["scorer"] == "tiny/scaled"
        assert set(frame[scaled]["error"]) == {"the reward gave nan"}
        assert frame[~scaled]["value"].equals(undisturbed[0].frame[~scaled]["value"])
        set_weights(folder / "model.safetensors", torch.nan)
        frame = replace(audit, clip=folder).collect(tmp_path / "store").frame
        decided = frame[frame["scorer"] == "preference/tiny-clip"]
        assert set(decided["error"].str.startswith("no score for ('tiny/clip', ")) == {True}

    def test_nan_scores_are_not_asked_for_again(
        self, audit: TinyAudit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = Path(shutil.copytree(audit.clip, tmp_path / "clip"))
        set_weights(folder / "model.safetensors", torch.nan)
        first = replace(audit, clip=folder).collect(tmp_path / "store")
        forbid(monkeypatch, DiffusersModel, ClipRewardModel, ClassifierJudgeModel)
        assert replace(audit, clip=folder).collect(tmp_path / "store") == first


def set_weights(file: Path, value: float, only: str = "") -> None:
    """Overwrite every weight, or those of one name."""
    weights = {
        name: torch.full_like(tensor, value) if not only or name == only else tensor
        for name, tensor in load_file(file).items()
    }
    save_file(weights, file, metadata={"format": "pt"})


def test_stored_images_are_ordinary_png_files(undisturbed: tuple[Evidence, Path]) -> None:
    for file in (undisturbed[1] / "blobs").rglob("*.png"):
        image = Image.open(io.BytesIO(file.read_bytes()))
        image.load()
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (16, 16))
