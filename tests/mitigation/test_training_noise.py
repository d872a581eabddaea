"""Schedules of a training against independent formulas, and the schedulers' own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler
from scipy import stats

from aes_audit.errors import UsageError
from aes_audit.mitigation.noise import draw_sigmas, generator_for, learning_rate, refuse_other_schedulers, shifted


def test_noise_shares_are_logit_normal_or_uniform() -> None:
    normal = draw_sigmas("logit-normal", 4000, generator_for(0, "a")).double().numpy()
    assert stats.kstest(np.log(normal / (1 - normal)), "norm").pvalue > 1e-3
    uniform = draw_sigmas("uniform", 4000, generator_for(0, "b")).double().numpy()
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3


def test_a_static_shift_is_the_one_of_the_schedulers_own_sigmas() -> None:
    scheduler: Any = FlowMatchEulerDiscreteScheduler(shift=3.0)
    plain: Any = FlowMatchEulerDiscreteScheduler()
    assert torch.allclose(shifted(scheduler, plain.sigmas, tokens=1), scheduler.sigmas, atol=1e-6)


@pytest.mark.parametrize("tokens", [256, 1024, 4096])
def test_a_dynamic_shift_is_the_one_that_pictures_are_drawn_with(tokens: int) -> None:
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    scheduler: Any = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    plain = np.linspace(1.0, 0.1, 10)
    scheduler.set_timesteps(sigmas=plain.tolist(), mu=calculate_shift(tokens))
    ours = shifted(scheduler, torch.tensor(plain, dtype=torch.float32), tokens)
    assert torch.allclose(ours, scheduler.sigmas[:-1], atol=1e-5)


def test_the_rate_climbs_to_its_peak_and_ends_near_zero() -> None:
    rates = [learning_rate(step, 100, 0.5) for step in range(100)]
    assert rates[4] == max(rates) == 0.5
    assert rates[:5] == sorted(rates[:5])
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] < 0.001


def test_random_numbers_depend_on_seed_and_purpose_alone() -> None:
    first = torch.rand(3, generator=generator_for(1, "step", 2))
    assert torch.equal(first, torch.rand(3, generator=generator_for(1, "step", 2)))
    for other in (generator_for(2, "step", 2), generator_for(1, "step", 3)):
        assert not torch.equal(first, torch.rand(3, generator=other))


def test_a_scheduler_that_is_no_rectified_flow_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="DDIMScheduler"):
        refuse_other_schedulers("m", DDIMScheduler())
