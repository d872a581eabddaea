"""The first stage: what is asked of a generator, what is kept of its answers, and when."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evidence.noise_generator import NoiseGenerator, noise
from PIL import Image

from aes_audit.errors import BudgetSpent, InfrastructureError, StoreUnusable
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.generating import ImageJob, generate_images
from aes_audit.evidence.keys import image_key
from aes_audit.evidence.store import ImageRecord, Store
from aes_audit.generators.protocol import Answer, ImageRequest, MissingImage, NotAttempted

JOBS = [ImageJob(f"item {n // 2}", ("original", "wide")[n % 2], ImageRequest(f"text {n}", n // 2)) for n in range(10)]
BLUE = Image.new("RGB", (16, 16), (0, 0, 255))


def generate(generator: NoiseGenerator, store: Store, jobs: Sequence[ImageJob] = JOBS) -> list[ImageRecord]:
    """All images of the plan."""
    return generate_images(generator, jobs, store, LocalEngine())


def missing(generator: NoiseGenerator, store: Store) -> list[int]:
    """Positions of the plan that the store has nothing for."""
    keys = [image_key(generator.identity, job.request.prompt, job.request.seed) for job in JOBS]
    return [number for number, key in enumerate(keys) if store.image(key) is None]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty one."""
    return Store(tmp_path / "store")


class TestChecks:
    """Every answer is looked at before it is kept."""

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            (Image.new("RGB", (16, 16)), "black"),
            (BLUE, "constant"),
            (noise(ImageRequest("other", 0), 8), "wrong_size"),
            (MissingImage("no", "refused"), "refused"),
            (MissingImage("a sentence", "text_only"), "text_only"),
            (MissingImage("broken"), "failed"),
        ],
    )
    def test_what_is_no_picture_is_kept_with_its_kind_and_its_reason(
        self, store: Store, answer: Answer, kind: str
    ) -> None:
        generator = NoiseGenerator({"text 3": answer})
        records = generate(generator, store)
        assert [record.fault for record in records] == [kind if n == 3 else None for n in range(10)]
        assert records[3].sha256 is None
        assert records[3].error
        assert [record.fault for record in generate(generator, store)] == [record.fault for record in records]
        assert generator.calls == [[f"text {n}" for n in range(*run)] for run in ((0, 4), (4, 8), (8, 10))]

    def test_a_picture_that_is_nearly_blank_is_kept_and_flagged(self, store: Store) -> None:
        night = Image.new("RGB", (16, 16), (2, 2, 2))
        night.putpixel((3, 4), (40, 40, 40))
        records = generate(NoiseGenerator({"text 3": night}), store)
        assert [record.flags for record in records] == [("near_blank",) if n == 3 else () for n in range(10)]
        assert np.array_equal(opened(store, records[3]), np.asarray(night))

    def test_pictures_of_another_mode_are_kept_as_rgb(self, store: Store) -> None:
        grey = noise(ImageRequest("grey", 0)).convert("L")
        records = generate(NoiseGenerator({"text 0": grey}), store)
        assert np.array_equal(opened(store, records[0]), np.asarray(grey.convert("RGB")))

    def test_what_the_generator_knows_about_a_text_is_kept_beside_its_image(self, store: Store) -> None:
        jobs = [*JOBS, ImageJob("item 9", "wide", ImageRequest("one two three four five six seven", 1))]
        notes = [
            record.record["prompt_notes"]["encoders"]["words"] for record in generate(NoiseGenerator(), store, jobs)
        ]
        assert [note["tokens"] for note in notes] == [2] * 10 + [7]
        assert [note["truncated"] for note in notes] == [False] * 10 + [True]


def opened(store: Store, record: ImageRecord) -> np.ndarray:
    """The pixels that were kept."""
    return np.asarray(Image.open(io.BytesIO(store.read_image(record))))


class TestWholeBatches:
    """An image that may depend on its batch is only ever made in its own."""

    def test_the_records_are_those_of_the_plan_in_its_order(self, store: Store) -> None:
        for record, job in zip(generate(NoiseGenerator(), store), JOBS, strict=True):
            assert np.array_equal(opened(store, record), np.asarray(noise(job.request)))

    def test_a_lost_image_is_made_again_with_its_batch_and_only_it_is_replaced(self, store: Store) -> None:
        records = generate(NoiseGenerator(), store)
        (store.local / "images" / records[5].key[:2] / f"{records[5].key}.json").unlink()
        generator = NoiseGenerator()
        assert generate(generator, store) == records
        assert generator.calls == [["text 4", "text 5", "text 6", "text 7"]]

    def test_too_few_answers_are_an_infrastructure_error(self, store: Store) -> None:
        class Short(NoiseGenerator):
            def generate(self, requests: Sequence[ImageRequest]) -> list[Answer]:
                return super().generate(requests)[:-1]

        with pytest.raises(InfrastructureError, match=r"^noise answered 4 requests with 3 images\.$"):
            generate(Short(), store)


class TestIndependentImages:
    """A hosted model is asked for what is missing and for nothing else."""

    def test_only_missing_images_are_requested_chunk_by_chunk(self, store: Store) -> None:
        records = generate(NoiseGenerator(), store)
        for lost in (1, 2, 5, 8, 9):
            (store.local / "images" / records[lost].key[:2] / f"{records[lost].key}.json").unlink()
        generator = NoiseGenerator(independent=True, batch_size=2)
        assert generate(generator, store) == records
        assert generator.calls == [["text 1", "text 2"], ["text 5", "text 8"], ["text 9"]]

    def test_what_was_answered_is_kept_before_anything_else_is_asked(self, store: Store) -> None:
        kept: list[int] = []

        class Watching(NoiseGenerator):
            def generate(self, requests: Sequence[ImageRequest]) -> list[Answer]:
                kept.append(10 - len(missing(self, store)))
                return super().generate(requests)

        generate(Watching(independent=True), store)
        assert kept == [0, 4, 8]

    def test_a_text_and_seed_that_two_items_share_is_requested_once(self, store: Store) -> None:
        jobs = [*JOBS, ImageJob("twin", "original", JOBS[0].request)]
        generator = NoiseGenerator(independent=True, batch_size=3)
        records = generate(generator, store, jobs)
        assert records[0] == records[10]
        assert [prompt for call in generator.calls for prompt in call] == [f"text {n}" for n in range(10)]

    def test_a_host_that_fails_for_one_keeps_what_was_answered_beside_it(self, store: Store) -> None:
        generator = NoiseGenerator({"text 5": NotAttempted("no answer", failed=True)}, independent=True)
        with pytest.raises(InfrastructureError, match=r"^no answer$"):
            generate(generator, store)
        assert missing(generator, store) == [5, 8, 9]

    @pytest.mark.parametrize("independent", [False, True])
    def test_a_spent_budget_keeps_what_was_answered_and_asks_no_more(self, store: Store, independent: bool) -> None:
        spent = NotAttempted("the budget of 1 USD is spent")
        generator = NoiseGenerator({"text 5": spent, "text 6": spent}, independent=independent)
        with pytest.raises(BudgetSpent, match=r"^the budget of 1 USD is spent$"):
            generate(generator, store)
        assert missing(generator, store)[:2] == [5, 6]
        assert not {0, 1, 2, 3, 4, 7} & set(missing(generator, store))
        richer = NoiseGenerator(independent=independent)
        whole = generate(richer, store)
        assert all(record.sha256 for record in whole)
        if independent:
            assert richer.calls == [["text 5", "text 6", "text 8", "text 9"]]


class TestBackground:
    """Pictures are checked, encoded and written while the next ones are drawn."""

    def test_a_batch_is_written_while_the_next_one_is_drawn(self, store: Store) -> None:
        drawing, written = threading.Event(), threading.Event()

        class Slow(Store):
            def put_image(self, key: str, png: bytes, record: Mapping[str, Any]) -> None:
                assert drawing.wait(30), "the second batch is drawn before the first is written"
                super().put_image(key, png, record)
                written.set()

        class Waiting(NoiseGenerator):
            def generate(self, requests: Sequence[ImageRequest]) -> list[Answer]:
                if self.calls:
                    drawing.set()
                    assert written.wait(30), "writing goes on meanwhile"
                return super().generate(requests)

        assert len(generate(Waiting(), Slow(store.local))) == 10

    def test_no_more_than_one_batch_is_waiting(self, store: Store) -> None:
        ahead: list[int] = []

        class Counting(NoiseGenerator):
            def generate(self, requests: Sequence[ImageRequest]) -> list[Answer]:
                ahead.append(sum(map(len, self.calls)) - (10 - len(missing(self, store))))
                return super().generate(requests)

        generate(Counting(batch_size=1), store)
        assert max(ahead) <= 1

    def test_a_full_disk_surfaces_in_the_main_thread_and_ends_the_run(self, store: Store) -> None:
        class Full(Store):
            def put_image(self, key: str, png: bytes, record: Mapping[str, Any]) -> None:
                raise StoreUnusable("the disk is full")

        generator = NoiseGenerator()
        with pytest.raises(StoreUnusable, match="the disk is full"):
            generate(generator, Full(store.local))
        assert len(generator.calls) <= 2

    def test_the_last_batch_is_not_lost_when_it_cannot_be_written(self, store: Store) -> None:
        class FullAtTheEnd(Store):
            left = 9

            def put_image(self, key: str, png: bytes, record: Mapping[str, Any]) -> None:
                if self.left == 0:
                    raise StoreUnusable("the disk is full")
                self.left -= 1
                super().put_image(key, png, record)

        with pytest.raises(StoreUnusable, match="the disk is full"):
            generate(NoiseGenerator(), FullAtTheEnd(store.local))
        assert missing(NoiseGenerator(), store) == [9]

    def test_control_c_while_a_batch_is_drawn_keeps_the_batches_before(self, store: Store) -> None:
        @dataclass
        class Interrupted(NoiseGenerator):
            at: int = field(default=2)

            def generate(self, requests: Sequence[ImageRequest]) -> list[Answer]:
                if len(self.calls) == self.at:
                    raise KeyboardInterrupt
                return super().generate(requests)

        with pytest.raises(KeyboardInterrupt):
            generate(Interrupted(), store)
        assert missing(NoiseGenerator(), store) == [8, 9]
        assert not list(store.local.glob("**/*.tmp"))
        assert threading.active_count() == 1 or not [
            thread for thread in threading.enumerate() if thread.name.startswith("aes_audit-images")
        ]


@dataclass
class TwoPart(NoiseGenerator):
    """One whose images are finished by somebody else."""

    threads: set[str] = field(default_factory=set)
    """Who finished them."""

    def begin(self, requests: Sequence[ImageRequest]) -> Callable[[], list[Answer]]:
        """Remember what is asked for; noise comes later."""
        self.calls.append([request.prompt for request in requests])
        return lambda: self.finish(requests)

    def finish(self, requests: Sequence[ImageRequest]) -> list[Answer]:
        """Noise."""
        self.threads.add(threading.current_thread().name)
        return [self.answers.get(request.prompt) or noise(request, self.size) for request in requests]

    def generate(self, requests: Sequence[ImageRequest]) -> list[Answer]:
        """Not to be asked."""
        raise AssertionError("it can be begun")


class TestTwoParts:
    """A generator may begin a batch and leave it to be finished while the next one is begun."""

    def test_images_are_finished_in_the_background_and_are_the_same(self, store: Store, tmp_path: Path) -> None:
        generator = TwoPart()
        assert generate(generator, store) == generate(NoiseGenerator(), Store(tmp_path / "other"))
        assert generator.calls == [[f"text {n}" for n in range(*run)] for run in ((0, 4), (4, 8), (8, 10))]
        assert all(name.startswith("aes_audit-images") for name in generator.threads)

    def test_a_batch_is_finished_while_the_next_one_is_begun_and_no_more_than_one_waits(self, store: Store) -> None:
        @dataclass
        class Ahead(TwoPart):
            beginning: threading.Event = field(default_factory=threading.Event)
            finished: list[int] = field(default_factory=list)

            def begin(self, requests: Sequence[ImageRequest]) -> Callable[[], list[Answer]]:
                assert len(self.finished) >= len(self.calls) - 1
                if self.calls:
                    self.beginning.set()
                return super().begin(requests)

            def finish(self, requests: Sequence[ImageRequest]) -> list[Answer]:
                assert self.beginning.wait(30), "the second batch is begun before the first is finished"
                self.finished.append(len(requests))
                return super().finish(requests)

        generator = Ahead()
        generate(generator, store)
        assert generator.finished == [4, 4, 2]

    def test_what_goes_wrong_in_finishing_surfaces_and_ends_the_run(self, store: Store) -> None:
        @dataclass
        class Broken(TwoPart):
            def finish(self, requests: Sequence[ImageRequest]) -> list[Answer]:
                if len(self.threads):
                    raise InfrastructureError("decoding failed")
                return super().finish(requests)

        generator = Broken(batch_size=2)
        with pytest.raises(InfrastructureError, match=r"^decoding failed$"):
            generate(generator, store)
        assert 2 <= len(generator.calls) <= 3
        assert missing(generator, store) == list(range(2, 10))

    def test_control_c_while_a_batch_is_begun_keeps_the_one_that_is_not_finished_yet(self, store: Store) -> None:
        @dataclass
        class Interrupted(TwoPart):
            interrupted: threading.Event = field(default_factory=threading.Event)

            def begin(self, requests: Sequence[ImageRequest]) -> Callable[[], list[Answer]]:
                if self.calls:
                    self.interrupted.set()
                    raise KeyboardInterrupt
                return super().begin(requests)

            def finish(self, requests: Sequence[ImageRequest]) -> list[Answer]:
                assert self.interrupted.wait(30)
                return super().finish(requests)

        with pytest.raises(KeyboardInterrupt):
            generate(Interrupted(), store)
        assert missing(NoiseGenerator(), store) == list(range(4, 10))


MEMORY = """
import resource, sys
from pathlib import Path
from evidence.noise_generator import NoiseGenerator
from aes_audit.evidence.generating import ImageJob, generate_images
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.store import Store
from aes_audit.generators.protocol import ImageRequest

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def run(pairs):
    jobs = [ImageJob(f"{n}", image, ImageRequest(f"{image} {n}", n)) for n in range(pairs) for image in ("o", "w")]
    generate_images(NoiseGenerator(size=640, batch_size=4), jobs, Store(Path(sys.argv[1]) / str(pairs)), LocalEngine())

run(8)
few = peak()
run(48)
print(few, peak())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_six_times_the_pairs_need_no_more_memory(tmp_path: Path) -> None:
    # The 80 images more, of 640 x 640, are 98 MB of pixels.
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", MEMORY, str(tmp_path)]
    told = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    few, many = map(float, told.split())
    assert many - few < 8
