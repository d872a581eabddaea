"""The table of a simulated cluster: from the measured rates to what is waited for."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest
from cluster import PARTS, limits, main, parser, setup_of, shares
from cluster_rates import MEASURED, read_rates
from cluster_setup import Pool, StoreRates
from simulated_cluster import simulated

SMALL = ["--models=1", "--pairs=64", "--devices=4", "--seeds=2"]


def test_every_measured_number_says_by_which_command() -> None:
    rates = tomllib.loads(MEASURED.read_text())
    tables = [*rates.pop("store").values(), *rates.values()]
    assert all(table["command"].startswith("python benchmarks/") for table in tables)


def test_options_replace_what_was_measured_of_the_models_and_nothing_else() -> None:
    rates = read_rates()
    measured = setup_of(parser().parse_args(SMALL), rates)
    assert (len(measured.works), measured.images) == (9, 128)
    assert list(measured.works) == list(rates.works)
    guessed = setup_of(parser().parse_args([*SMALL, "--draw=4", "--score=0.1", "--load=60", "--rewards=3"]), rates)
    assert [(work.seconds, work.load) for work in guessed.works] == [(4.0, 60.0)] + [(0.1, 60.0)] * 3
    assert (guessed.store, guessed.driver) == (measured.store, measured.driver)


def test_the_parts_are_all_of_the_time_that_is_paid_for() -> None:
    setup = setup_of(parser().parse_args([*SMALL, "--losses=20"]), read_rates())
    found = shares(simulated(setup), setup.devices)
    assert tuple(found) == PARTS
    assert sum(found.values()) == pytest.approx(1)
    assert all(0 <= part <= 1 for part in found.values())


def test_beyond_its_limit_of_devices_a_stage_takes_what_the_store_takes() -> None:
    said = parser().parse_args([*SMALL, "--pairs=20000", "--score=0.01", "--load=0", "--spread=0", "--uneven=0"])
    setup = setup_of(said, read_rates())
    stage = replace(setup, works=setup.works[1:2], pool=replace(setup.pool, start=0, stage=0, process=0, task=0))
    bound = limits(stage, stage.works[0]).store
    few, many, more = (
        simulated(replace(stage, devices=round(part * bound))).stages[stage.works[0].name] for part in (0.5, 3, 6)
    )
    least = 40_000 * stage.works[0].seconds / bound
    assert few.elapsed - few.driver > 1.9 * least
    assert many.elapsed - many.driver == pytest.approx(least, rel=0.1)
    assert more.elapsed - more.driver == pytest.approx(least, rel=0.1)


def test_beyond_its_limit_of_devices_a_stage_takes_what_handing_out_takes() -> None:
    said = parser().parse_args([*SMALL, "--pairs=20000", "--score=0.01", "--load=0", "--spread=0", "--uneven=0"])
    setup = replace(setup_of(said, read_rates()), store=StoreRates())
    # Tasks of one size, however many devices there are.
    stage = replace(setup, works=setup.works[1:2], pool=Pool(task=0.02, batches=2, ahead=2))
    bound = limits(stage, stage.works[0]).tasks
    assert bound == pytest.approx(0.01 * 64 / 0.02)
    few, many = (
        simulated(replace(stage, devices=round(part * bound))).stages[stage.works[0].name] for part in (0.5, 3)
    )
    least = 40_000 / 64 * 0.02
    assert few.elapsed - few.driver > 1.9 * least
    assert many.elapsed - many.driver == pytest.approx(least, rel=0.1)


def test_an_assumed_store_answers_thirty_two_requests_of_a_client_at_once() -> None:
    setup = setup_of(parser().parse_args([*SMALL, "--latency=0.032", "--requests=4000"]), read_rates())
    assert (setup.store.read_image.alone, setup.store.read_image.shared) == pytest.approx((0.001, 0.00025))
    # File and record, one after the other.
    assert (setup.store.put_image.alone, setup.store.put_image.shared) == pytest.approx((0.064, 0.0005))


def test_a_line_for_each_value_of_what_is_varied(capsys: pytest.CaptureFixture[str]) -> None:
    main([*SMALL, "--vary", "devices=1,4", "--price", "2"])
    heads, _, one, four = capsys.readouterr().out.splitlines()
    assert heads.endswith("| device-hours | USD |")
    assert one.startswith("| devices=1 |")
    assert float(one.split("|")[2].split()[0]) > float(four.split("|")[2].split()[0])
