"""Collecting art: streamed, decoded once for all rewards, resumed; what cannot be read is missing with its reason."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from evidence.galleries import Counting, gallery
from PIL import Image, ImageFile

from aes_audit.errors import InfrastructureError
from aes_audit.evidence.art import collect_art, exhibits, shuffled_captions
from aes_audit.evidence.art_pictures import FilePicture
from aes_audit.evidence.artworks import ArtSet, read_art
from aes_audit.evidence.bench import Bench, Shown
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.rates import ELSEWHERE, known_rate
from aes_audit.evidence.store import Store
from aes_audit.evidence.table import Evidence
from aes_audit.evidence.workload import shown_work
from aes_audit.rewards.protocol import Answer


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every file that was decoded, in order."""
    found: list[Path] = []
    opened: Callable[[FilePicture], Image.Image] = FilePicture.open

    def counted(picture: FilePicture) -> Image.Image:
        found.append(picture.path)
        return opened(picture)

    monkeypatch.setattr(FilePicture, "open", counted)
    return found


def scores(table: Evidence, scorer: str, prompt: str = "caption", model: str = "human") -> dict[str, float]:
    """Scores by work."""
    return {str(item): value for item, value in table.values(model, "art", scorer, "work", prompt).items()}


def test_a_work_is_scored_under_its_caption_and_under_another_works(tmp_path: Path, store: Store) -> None:
    art = read_art(str(gallery(tmp_path / "art", 40)))
    table = collect_art(art, [Counting("one")], store, LocalEngine())
    for work in art.works:
        bright = float(np.asarray(work.picture.open()).mean())
        assert scores(table, "one")[work.id] == pytest.approx(bright + len(work.caption) / 1000)
    others = shuffled_captions(art.works)
    assert sorted(map(str, others)) == sorted(work.caption for work in art.works)
    assert all(other != work.caption for other, work in zip(others, art.works, strict=True))
    row = table.frame[(table.frame["item"] == "00003.png") & (table.frame["prompt"] == "caption")].iloc[0]
    assert (row["artist"], row["style"], row["year"], bool(row["drawn"])) == ("artist 3", "Fauvism", "1900", False)


def test_pictures_are_decoded_once_for_all_rewards_and_never_again(
    tmp_path: Path, store: Store, decoded: list[Path]
) -> None:
    art = read_art(str(gallery(tmp_path / "art", 70)))
    rewards = [Counting(name) for name in ("one", "two", "three")]
    first = collect_art(art, rewards, store, LocalEngine())
    assert len(decoded) == 70
    assert [reward.loads for reward in rewards] == [1, 1, 1]
    again = [Counting(name) for name in ("one", "two", "three")]
    assert collect_art(art, again, Store(store.local), LocalEngine()) == first
    assert (len(decoded), sum(reward.loads for reward in again)) == (70, 0)


def test_a_further_reward_is_asked_alone(tmp_path: Path, store: Store) -> None:
    art = read_art(str(gallery(tmp_path / "art", 10)))
    collect_art(art, [Counting("one")], store, LocalEngine())
    one, two = Counting("one"), Counting("two")
    table = collect_art(art, [one, two], store, LocalEngine())
    assert (one.loads, two.loads) == (0, 1)
    assert table.scorers("human", "art") == ("one", "two")


def test_a_run_that_broke_goes_on_where_it_was(tmp_path: Path, store: Store) -> None:
    art = read_art(str(gallery(tmp_path / "art", 100)))
    with pytest.raises(InfrastructureError, match="went away"):
        collect_art(art, [Counting("one", breaks_after=128)], store, LocalEngine())
    rest = Counting("one")
    table = collect_art(art, [rest], store, LocalEngine())
    assert len(rest.seen) == 2 * 100 - 128
    whole = collect_art(art, [Counting("one")], Store(tmp_path / "other"), LocalEngine())
    assert table == whole


def test_what_cannot_be_read_is_missing_with_its_reason_and_not_tried_again(
    tmp_path: Path, store: Store, decoded: list[Path]
) -> None:
    folder = gallery(tmp_path / "art", 36)
    (folder / "00003.png").write_bytes((folder / "00003.png").read_bytes()[:60])
    (folder / "00004.png").unlink()
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(folder / "00005.png", save_all=True, append_images=frames[1:])
    Image.new("1", (12_500, 8_000)).save(folder / "00006.png")
    (folder / "00007.png").write_bytes(b"")
    (folder / "00008.png").unlink()
    (folder / "00008.png").mkdir()
    Image.new("CMYK", (4, 4)).save(folder / "00009.png", format="JPEG")
    art = read_art(str(folder))
    table = collect_art(art, [Counting("one"), Counting("two")], store, LocalEngine())
    frame = table.frame[table.frame["prompt"] == "caption"]
    lost = frame[frame["error"].notna()].drop_duplicates("item").set_index("item")["error"].to_dict()
    begins = {
        "00003.png": "cannot be decoded",
        "00004.png": "no such file",
        "00005.png": "2 frames",
        "00006.png": "12500x8000 is more than",
        "00007.png": "not an image",
        "00008.png": "cannot be read: Is a directory",
    }
    assert lost.keys() == begins.keys()
    assert all(lost[name].startswith(begin) for name, begin in begins.items())
    # A bomb and an empty file are known by their headers, and what cannot be opened has no key.
    assert len(decoded) == 32
    collect_art(art, [Counting("one"), Counting("two")], store, LocalEngine())
    assert len(decoded) == 32


@pytest.mark.parametrize("fault", [OSError(5, "Input/output error"), MemoryError()])
def test_what_a_disk_or_memory_held_back_once_is_scored_by_the_next_run(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    art = read_art(str(gallery(tmp_path / "art", 3)))
    load: Callable[[ImageFile.ImageFile], object] = ImageFile.ImageFile.load

    def failing(image: ImageFile.ImageFile) -> object:
        if str(getattr(image, "filename", "")).endswith("00001.png"):
            raise fault
        return load(image)

    with monkeypatch.context() as patched:
        patched.setattr(ImageFile.ImageFile, "load", failing)
        lost = scores(collect_art(art, [Counting("one")], store, LocalEngine()), "one")
    assert [item for item, value in lost.items() if value != value] == ["00001.png"]
    found = scores(collect_art(art, [Counting("one")], store, LocalEngine()), "one")
    assert not any(value != value for value in found.values())


def test_a_changed_file_is_scored_anew(tmp_path: Path, store: Store) -> None:
    folder = gallery(tmp_path / "art", 8)
    before = scores(collect_art(read_art(str(folder)), [Counting("one")], store, LocalEngine()), "one")
    Image.new("RGB", (9, 9), "white").save(folder / "00002.png")
    after = scores(collect_art(read_art(str(folder)), [Counting("one")], store, LocalEngine()), "one")
    assert {name for name in before if before[name] != after[name]} == {"00002.png"}
    assert after["00002.png"] > 255


def test_the_control_arm_stands_beside_under_its_own_name(tmp_path: Path, store: Store) -> None:
    folder = gallery(tmp_path / "art", 6)
    gallery(folder / "control", 3)
    table = collect_art(read_art(str(folder)), [Counting("one")], store, LocalEngine())
    assert table.items("human/control", "art") == ("00000.png", "00001.png", "00002.png")
    assert scores(table, "one", "shuffled", "human/control") == {}


def test_large_pictures_are_held_a_few_at_a_time(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aes_audit.evidence.bench.PIXELS", 3 * 144)
    batches: list[int] = []

    class Noting(Counting):
        def score(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
            batches.append(len({hashlib.sha256(image.tobytes()).digest() for image in images}))
            return super().score(images, texts)

    collect_art(read_art(str(gallery(tmp_path / "art", 10))), [Noting("one")], store, LocalEngine())
    assert batches == [3, 3, 3, 1]


def test_what_a_reward_tells_besides_its_score_is_in_the_table_of_every_run(tmp_path: Path, store: Store) -> None:
    class Telling(Counting):
        def answers(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[Answer]:
            """A score with a note, and an error for every picture with a 3 in its text."""
            return [
                Answer(None, "three") if "3" in text else Answer(1.0, None, {"truncated": False})
                for _, text in zip(images, texts, strict=True)
            ]

    art = read_art(str(gallery(tmp_path / "art", 6)))
    tables = [collect_art(art, [Telling("one")], store, LocalEngine()) for _ in range(2)]
    assert tables[0] == tables[1]
    for table in tables:
        own = table.frame[table.frame["prompt"] == "caption"].set_index("item")
        assert own.loc["00003.png", "error"] == "three"
        assert not own.loc["00002.png", "truncated"]


def test_works_that_share_one_caption_are_not_shuffled(tmp_path: Path) -> None:
    folder = gallery(tmp_path / "art", 2)
    (folder / "works.csv").write_text("image,caption\n00000.png,x\n00001.png,x\n")
    assert shuffled_captions(read_art(str(folder)).works) == [None, None]


PEAK = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from evidence.galleries import Counting, gallery
from aes_audit.evidence.art import collect_art
from aes_audit.evidence.artworks import read_art
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.store import Store
art = read_art(sys.argv[1])
table = collect_art(art, [Counting(n) for n in ("one", "two", "three")], Store(Path(sys.argv[2])), LocalEngine())
print(len(table), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.heavy
def test_ten_thousand_works_and_three_rewards_need_little_more_memory_than_a_thousand(tmp_path: Path) -> None:
    peaks = {}
    for count in (1_000, 10_000):
        folder = gallery(tmp_path / f"art {count}", count)
        command = [
            sys.executable,
            "-c",
            PEAK,
            str(folder),
            str(tmp_path / f"store {count}"),
            str(Path(__file__).parents[1]),
        ]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rows, peaks[count] = map(int, said.split())
        assert rows == count * 3 * 2
    # Only the table itself grows: 60,000 rows, in kilobytes.
    assert peaks[10_000] - peaks[1_000] < 150_000


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from evidence.galleries import Counting, gallery
from aes_audit.evidence.art import collect_art
from aes_audit.evidence.artworks import read_art
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.store import Store
class Slow(Counting):
    def score(self, images, texts):
        time.sleep(0.02)
        return super().score(images, texts)
collect_art(read_art(sys.argv[1]), [Slow(n) for n in ("one", "two", "three")], Store(Path(sys.argv[2])), LocalEngine())
"""


@pytest.mark.heavy
def test_a_killed_run_goes_on_and_gives_the_same_evidence(tmp_path: Path, decoded: list[Path]) -> None:
    folder, place = gallery(tmp_path / "art", 400), tmp_path / "store"
    command = [sys.executable, "-c", KILLED, str(folder), str(place), str(Path(__file__).parents[1])]
    process = subprocess.Popen(command)
    while (stored := sum(1 for _ in place.glob("scores/*/*.json"))) < 250:
        assert process.poll() is None, "it was over before it could be killed"
        time.sleep(0.01)
    process.kill()
    process.wait()
    rewards = [Counting(name) for name in ("one", "two", "three")]
    table = collect_art(read_art(str(folder)), rewards, Store(place), LocalEngine())
    assert len(decoded) == len(set(decoded)), "no picture is decoded twice in one run"
    assert len(decoded) <= 400 - stored // 3 + 32, "at most the batch that was cut off is decoded again"
    assert table == collect_art(read_art(str(folder)), rewards, Store(tmp_path / "whole"), LocalEngine())


def test_an_art_set_is_a_value(tmp_path: Path) -> None:
    folder = gallery(tmp_path / "art", 3)
    one, two = read_art(str(folder)), read_art(str(folder))
    assert isinstance(one, ArtSet)
    assert one == two


def test_a_plan_counts_the_pictures_that_each_reward_is_shown_and_each_is_timed(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    art = read_art(str(gallery(tmp_path / "art", 70)))
    shown = [exhibit.shown for exhibit in exhibits(art)]
    # Four pictures of 12 x 12 are decoded at a time.
    monkeypatch.setattr("aes_audit.evidence.bench.PIXELS", 4 * 144)

    def planned(*rewards: Counting) -> dict[str, tuple[int, int, int | None]]:
        works = shown_work(Bench.of(art.digest, rewards, store), "art", "human", shown)
        return {work.who: (work.left, work.counted.run, work.passes) for work in works}

    def timed(name: str) -> int:
        rate = known_rate(store, Counting(name).identity, ELSEWHERE)
        return rate.items if rate else 0

    assert planned(Counting("one")) == {"one": (70, 70, 140)}
    collect_art(art, [Counting("one")], store, LocalEngine())
    assert timed("one") == 70

    # Two answers are lost, in two parts of four; a further reward has all to answer.
    for place in (0, 69):
        (scores,) = [file for file in (store.local / "scores").rglob("*.json") if asked_about(shown[place], file)]
        scores.unlink()
    assert planned(Counting("one"), Counting("two")) == {"one": (2, 6, 12), "two": (70, 70, 140)}
    collect_art(art, [Counting("one"), Counting("two")], store, LocalEngine())
    assert (timed("one"), timed("two")) == (76, 70)
    assert planned(Counting("one"), Counting("two")) == {"one": (0, 0, 0), "two": (0, 0, 0)}


def asked_about(shown: Shown, scores: Path) -> bool:
    """Whether a file of scores is about a picture."""
    return str(shown.picture.key()) in scores.read_text()
