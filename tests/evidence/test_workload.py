"""What a plan counts of a generator and a scorer, against what the same stages then ask of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from evidence.galleries import Counting
from evidence.noise_generator import NoiseGenerator

from aes_audit.evidence.collecting import Instruments, collect_pairs, image_jobs
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.generating import ImageJob, generate_images, key_of
from aes_audit.evidence.store import Store
from aes_audit.evidence.workload import Work, drawn_work, pairs_work
from aes_audit.generators.protocol import ImageRequest
from aes_audit.live.forecast import Step
from aes_audit.prompts.pairs import PromptPair, PromptSet

PROMPTS = PromptSet("n", tuple(PromptPair(str(n), f"text {n}", f"wide {n}", ("clarity",)) for n in range(20)), "digest")
INSTRUMENTS = Instruments((Counting("one"),), None, ())


@dataclass
class Paid(NoiseGenerator):
    """Somebody is paid for it."""

    price: float = 0.5


def lose(store: Store, generator: NoiseGenerator, places: Sequence[int]) -> None:
    """Take the images at these places of the plan out of the store."""
    for place in places:
        key = key_of(generator, image_jobs(PROMPTS)[place].request)
        (store.local / "images" / key[:2] / f"{key}.json").unlink()


def planned(generator: NoiseGenerator, store: Store, prompts: PromptSet = PROMPTS) -> list[Work]:
    """The generator's work and the reward's."""
    return list(pairs_work(generator, prompts, INSTRUMENTS, store))


@pytest.mark.parametrize(
    ("generator", "run"), [(NoiseGenerator(), 12), (NoiseGenerator(batch_size=1), 3), (Paid(independent=True), 3)]
)
def test_a_batch_that_lacks_an_image_is_counted_whole_where_it_is_drawn_whole(
    tmp_path: Path, generator: NoiseGenerator, run: int
) -> None:
    store = Store(tmp_path)
    collect_pairs(generator, PROMPTS, INSTRUMENTS, store, LocalEngine())
    lose(store, generator, (0, 17, 39))
    drawn, scored = planned(generator, store)
    assert (drawn.counted.total, drawn.counted.stored, drawn.left, drawn.counted.run) == (40, 37, 3, run)
    # Those to come are shown with the batches that they belong to: 32 and 8.
    assert (scored.counted.total, scored.left, scored.counted.run, scored.passes) == (40, 3, 40, 80)
    assert Step(drawn, None).usd == (1.5 if isinstance(generator, Paid) else 0.0)
    generator.calls.clear()
    collect_pairs(generator, PROMPTS, INSTRUMENTS, store, LocalEngine())
    assert sum(map(len, generator.calls)) == run
    assert [(work.left, work.counted.run) for work in planned(generator, store)] == [(0, 0), (0, 0)]


def test_a_larger_plan_has_other_batches(tmp_path: Path) -> None:
    store, generator = Store(tmp_path), NoiseGenerator()
    # Every second pair: each batch of the whole has two images of it.
    some = PromptSet("n", PROMPTS.pairs[::2], "digest")
    collect_pairs(generator, some, INSTRUMENTS, store, LocalEngine())
    drawn, scored = planned(generator, store)
    assert (drawn.left, drawn.counted.run, scored.left, scored.counted.run) == (20, 40, 20, 40)
    generator.calls.clear()
    collect_pairs(generator, PROMPTS, INSTRUMENTS, store, LocalEngine())
    assert sum(map(len, generator.calls)) == 40


def test_an_image_that_is_asked_for_twice_is_one_image(tmp_path: Path) -> None:
    store, generator = Store(tmp_path), NoiseGenerator()
    jobs = [ImageJob(f"item {n}", "original", ImageRequest(f"text {n % 6}", 0)) for n in range(8)]
    drawn, records = drawn_work(generator, jobs, "pairs", store)
    assert (drawn.counted.total, drawn.left, drawn.counted.run, len(records)) == (6, 6, 8, 8)
    generate_images(generator, jobs, store, LocalEngine())
    assert sum(map(len, generator.calls)) == 8
