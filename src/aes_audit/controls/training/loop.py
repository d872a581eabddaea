"""The training loop of every stage: seeded steps, checkpoints, resuming, a progress bar."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from tqdm import tqdm

from aes_audit.controls.training.workshop import Workshop, write_atomically

__all__ = ["Average", "Stateful", "optimizer_for", "run_steps", "warm_cosine"]


class Stateful(Protocol):
    """A model, optimizer or average whose state a checkpoint keeps."""

    def state_dict(self) -> dict[str, Any]:
        """The state as plain tensors and numbers."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Take a state over."""
        ...


class Average:
    """Exponential moving average of parameters; what a generator is saved with."""

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        """Start at the module's parameters; `decay` is the weight of the past per step."""
        self._parameters: list[torch.Tensor] = list(module.parameters())
        self._decay = decay
        self._steps = 0
        self._mean = [parameter.detach().clone() for parameter in self._parameters]

    @torch.no_grad()
    def update(self) -> None:
        """Take the parameters of one more step in."""
        self._steps += 1
        # Early on the past is the initialisation, which is worth forgetting fast.
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        torch._foreach_lerp_(self._mean, self._parameters, 1 - decay)

    @torch.no_grad()
    def copy_to_module(self) -> None:
        """Overwrite the module's parameters with the average."""
        for parameter, mean in zip(self._parameters, self._mean, strict=True):
            parameter.copy_(mean)

    def state_dict(self) -> dict[str, Any]:
        """Mean and step count."""
        return {"mean": self._mean, "steps": self._steps}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Take a stored mean over."""
        self._steps = int(state_dict["steps"])
        for mean, stored in zip(self._mean, state_dict["mean"], strict=True):
            mean.copy_(stored)


def optimizer_for(module: torch.nn.Module, rate: float, decay: float = 0.01) -> torch.optim.AdamW:
    """AdamW over the trainable parameters, in one fused kernel per step where the device has it."""
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay, betas=(0.9, 0.98), fused=True)


def warm_cosine(step: int, steps: int, rate: float, warm: int = 200) -> float:
    """Learning rate of a step: linear to `rate`, then half a cosine down to a fiftieth of it."""
    warm = min(warm, max(1, steps // 10))
    if step < warm:
        return rate * (step + 1) / warm
    along = (step - warm) / max(1, steps - warm)
    return rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * along)))


def run_steps(
    shop: Workshop,
    name: str,
    steps: int,
    parts: Mapping[str, Stateful],
    step: Callable[[int], Mapping[str, torch.Tensor]],
    every: int = 1000,
) -> bool:
    """Run `step(0)` to `step(steps - 1)`, going on from the last checkpoint; True when all are done.

    `step` must draw its random numbers from its index, so that a resumed run equals an undisturbed one.
    Its returned scalars go to the progress bar and, averaged, to the report. A stopped run saves first."""
    path = shop.work / "checkpoints" / f"{name}.pt"
    done = _load(path, parts, shop.device) if path.exists() else 0
    first, began = done, time.monotonic()
    losses: dict[str, float] = {}
    bar = tqdm(total=steps, initial=done, desc=name, mininterval=2.0, dynamic_ncols=True)
    while done < steps and not _spent(shop, done - first, began):
        values = step(done)
        done += 1
        if done % (50 if steps > 1000 else 5) == 0 or done == steps:
            losses = _smoothed(losses, values)
            bar.set_postfix({key: f"{value:.4f}" for key, value in losses.items()}, refresh=False)
        bar.update(1)
        if done % every == 0:
            _save(path, parts, done)
    bar.close()
    if done > first:
        _save(path, parts, done)
        rate = (time.monotonic() - began) / (done - first)
        shop.report(
            name, {"steps": done, "seconds_per_step": round(rate, 5), "device": _device_name(shop.device), **losses}
        )
    return done >= steps


def _spent(shop: Workshop, steps: int, began: float) -> bool:
    if shop.stop_after is not None and steps >= shop.stop_after:
        return True
    return shop.minutes is not None and time.monotonic() - began >= 60 * shop.minutes


def _smoothed(old: Mapping[str, float], values: Mapping[str, torch.Tensor]) -> dict[str, float]:
    fresh = {key: float(value.detach()) for key, value in values.items()}
    return {key: round(0.9 * old.get(key, value) + 0.1 * value, 5) for key, value in fresh.items()}


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _save(path: Any, parts: Mapping[str, Stateful], done: int) -> None:
    buffer = io.BytesIO()
    torch.save({"done": done, **{key: part.state_dict() for key, part in parts.items()}}, buffer)
    write_atomically(path, buffer.getvalue())


def _load(path: Any, parts: Mapping[str, Stateful], device: torch.device) -> int:
    stored = torch.load(path, map_location=device, weights_only=True)
    for key, part in parts.items():
        part.load_state_dict(stored[key])
    return int(stored["done"])
