"""Seeds of resampling are part of the result."""

from __future__ import annotations

from aes_audit.statistics.seeds import derive_seed

SEED = 44228153900990


def test_a_seed_is_the_same_in_every_process() -> None:
    # A changed value would silently change every blessed interval.
    assert derive_seed("audit", "quality_shift", "flux-dev", "hpsv3", None) == SEED
    assert 0 <= SEED < 2**48


def test_every_part_of_the_identity_changes_the_seed() -> None:
    names = ("a", "b", "c", "d", "e")
    seeds = {derive_seed(*names)}
    for place in range(len(names)):
        seeds.add(derive_seed(*(name + "x" * (index == place) for index, name in enumerate(names))))
    seeds.add(derive_seed("a", "b", "c", None, None))
    assert len(seeds) == 7
