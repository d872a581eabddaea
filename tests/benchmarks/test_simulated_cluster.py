"""The simulated cluster: where the answer is known without it, it is the same."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from cluster_setup import Cost, Driver, Pool, Setup, StoreRates, Work
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_cluster import simulated

DRAWS = Work("draws", 2.0, batch=4, draws=True)
SCORES = Work("scores", 0.5, batch=4)
BUSY = StoreRates(
    put_image=Cost(0.02, 0.005),
    put_scores=Cost(0.01, 0.002),
    read_image=Cost(0.004, 0.001),
    look_image=Cost(0.003, 0.001),
    look_scores=Cost(0.003, 0.001),
    absent=Cost(0.002, 0.0005),
)
REAL = Setup(
    (DRAWS, SCORES),
    models=3,
    images=100,
    devices=6,
    store=BUSY,
    driver=Driver(0.001, 0.001, 0.01),
    pool=Pool(start=5, stage=2, process=3, task=0.02, batches=2),
    spread=0.3,
    uneven=0.1,
)


def test_one_device_without_overheads_takes_the_sum() -> None:
    outcome = simulated(Setup((DRAWS, SCORES), models=3, images=10))
    assert outcome.seconds == pytest.approx(3 * 10 * (2.0 + 0.5))


def test_as_many_equal_tasks_as_devices_take_the_time_of_one() -> None:
    assert simulated(Setup((DRAWS,), images=4 * 16, devices=16)).seconds == pytest.approx(4 * 2.0)
    # One task more is one round more.
    assert simulated(Setup((DRAWS,), images=4 * 17, devices=16)).seconds == pytest.approx(2 * 4 * 2.0)


def test_models_in_lanes_of_their_own_run_side_by_side() -> None:
    side_by_side = Setup((DRAWS,), models=2, images=32, devices=2, lanes=2)
    assert simulated(side_by_side).seconds == pytest.approx(32 * 2.0)
    # A third model leaves one of the lanes with nothing to do, and a third device belongs to none.
    uneven = simulated(replace(side_by_side, models=3, devices=3))
    assert (uneven.seconds, uneven.over) == pytest.approx((2 * 32 * 2.0, 32 * 2.0 + 2 * 32 * 2.0))


@pytest.mark.parametrize("devices", [1, 4, 32])
def test_where_the_store_is_full_its_rate_is_the_time_whatever_the_devices(devices: int) -> None:
    store = StoreRates(put_scores=Cost(0.0, 10.0))
    outcome = simulated(Setup((replace(SCORES, seconds=0.001),), images=256, devices=devices, store=store))
    assert outcome.seconds == pytest.approx(256 * 10.0, rel=0.001)


def test_writing_of_images_is_hidden_behind_the_next_batch_and_of_scores_is_not() -> None:
    store = StoreRates(put_image=Cost(1.0), put_scores=Cost(1.0))
    drawn = Setup((DRAWS,), images=40, store=store, pool=Pool(batches=10))
    assert simulated(drawn).seconds == pytest.approx(40 * 2.0 + 4 * 1.0)
    # A task ends when all of it is written.
    assert simulated(replace(drawn, pool=Pool(batches=1))).seconds == pytest.approx(40 * (2.0 + 1.0))
    assert simulated(replace(drawn, works=(SCORES,))).seconds == pytest.approx(40 * (0.5 + 1.0))


def test_the_driver_s_keys_tasks_and_rows_and_every_load_are_paid_for() -> None:
    setup = Setup(
        (DRAWS, replace(SCORES, load=7)), images=8, driver=Driver(0.1, 0.2, 0.3), pool=Pool(11, 13, 17, 19, batches=1)
    )
    keys, rows, loads = 8 * (0.1 + 0.2), 4 * 0.3, 11 + 2 * (13 + 17) + 7
    assert simulated(setup).seconds == pytest.approx(8 * 2.5 + keys + rows + loads + 2 * 2 * 19)


@pytest.mark.parametrize("losses", [0.0, 60.0])
@pytest.mark.parametrize("seed", range(5))
def test_every_second_of_every_device_is_accounted_for(losses: float, seed: int) -> None:
    setup = replace(REAL, losses=losses)
    outcome = simulated(setup, seed)
    stages = outcome.stages.values()
    alone = 5 + 3 * 50 * 0.01 + sum(stage.driver for stage in stages)
    assert sum(stage.held for stage in stages) + 6 * alone == pytest.approx(6 * outcome.seconds)
    assert 5 + 3 * 50 * 0.01 + sum(stage.elapsed for stage in stages) == pytest.approx(outcome.seconds)


@given(st.integers(1, 200), st.integers(1, 9), st.integers(1, 5), st.integers(0, 100), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_everything_is_made_once_whatever_is_lost(images: int, devices: int, size: int, losses: int, seed: int) -> None:
    setup = Setup((DRAWS, SCORES), images=images, devices=devices, store=BUSY, pool=Pool(batches=size), losses=losses)
    outcome = simulated(setup, seed)
    assert outcome.drawn == images
    assert outcome.objects == 2 * images
    made = sum(stage.busy for stage in outcome.stages.values())
    assert made == pytest.approx(images * 2.5)


def test_lost_processes_cost_time_and_more_of_them_more() -> None:
    calm, rough, rougher = (
        sum(simulated(replace(REAL, losses=losses), seed).seconds for seed in range(10)) for losses in (0, 40, 200)
    )
    assert calm < rough < rougher


@given(st.integers(1, 60), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_another_device_never_makes_equal_tasks_slower(devices: int, seed: int) -> None:
    setup = replace(REAL, devices=devices, spread=0.0, uneven=0.0, models=1)
    assert simulated(replace(setup, devices=devices + 1), seed).seconds <= simulated(setup, seed).seconds + 1e-6


def test_the_spread_of_a_batch_leaves_its_mean_and_the_seed_decides() -> None:
    one = Setup((DRAWS,), images=40_000, spread=0.5)
    assert simulated(one, 1).seconds == pytest.approx(80_000, rel=0.02)
    assert simulated(REAL, 1) == simulated(REAL, 1)
    assert simulated(REAL, 1).seconds != simulated(REAL, 2).seconds


def test_rounds_stop_where_the_verdict_is_settled_and_begin_every_stage_again() -> None:
    setup = Setup((DRAWS, SCORES), images=1000, devices=2, round=32, needed=100, pool=Pool(process=10))
    outcome = simulated(setup)
    # Two rounds at once and then four, until at least 100 images are made: two times two stages start both processes.
    assert outcome.drawn == 64 + 128
    assert outcome.stages["draws"].loading == outcome.stages["scores"].loading == 2 * 2 * 10
    assert simulated(replace(setup, needed=None)).drawn == 1000


def test_the_tail_is_what_the_last_device_lets_the_others_wait() -> None:
    stage = simulated(Setup((DRAWS,), images=12, devices=2)).stages["draws"]
    assert sorted(stage.idle) == [0.0, 8.0]
    assert stage.tail == 8.0
    assert math.isclose(stage.busy, 24.0)
