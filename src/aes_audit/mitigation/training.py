"""The training itself: a frozen rectified flow, and an adapter that learns the velocity towards pictures that follow
their prompts.

Source: the flow-matching loss of Liu et al. (2022, arXiv 2209.03003) and Lipman et al. (2022, arXiv 2210.02747), with
low-rank adapters as in Hu et al. (2021, arXiv 2106.09685)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

import torch
from torch.nn import functional

from aes_audit.device import default_dtype
from aes_audit.errors import InfrastructureError, UsageError
from aes_audit.evidence.progress import Progress
from aes_audit.generators.guidance import call_value
from aes_audit.generators.prompt_notes import prompt_notes
from aes_audit.generators.resolve import DiffusersModel
from aes_audit.mitigation import checkpoint
from aes_audit.mitigation.adapter import adapter_file, add_adapter, trained_parameters
from aes_audit.mitigation.architectures import Architecture, architecture_of
from aes_audit.mitigation.base_model import picture_size
from aes_audit.mitigation.checkpoint import Outcome
from aes_audit.mitigation.noise import draw_sigmas, generator_for, learning_rate, refuse_other_schedulers, shifted
from aes_audit.mitigation.pairs import PairFolder
from aes_audit.mitigation.recipe import Recipe, Running
from aes_audit.mitigation.states import States, encode
from aes_audit.mitigation.workplace import Workplace
from aes_audit.weights.loading import first_line, quiet_libraries

__all__ = ["Outcome", "train"]

_READERS = ("vae", "text_encoder", "text_encoder_2", "text_encoder_3")


@dataclass(slots=True)
class _Trainer:
    """A transformer with its adapter, and everything that one step needs."""

    transformer: Any
    architecture: Architecture
    scheduler: Any
    states: States
    recipe: Recipe
    device: torch.device
    dtype: torch.dtype
    optimizer: torch.optim.Optimizer = field(init=False)
    losses: list[float] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """Start with an untouched optimizer."""
        self.optimizer = torch.optim.AdamW(
            trained_parameters(self.transformer).values(),
            lr=self.recipe.learning_rate,
            weight_decay=self.recipe.weight_decay,
            foreach=True,
        )

    def step(self) -> None:
        """One update; raises InfrastructureError when the loss is no number or the device gives up."""
        number, recipe = len(self.losses), self.recipe
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(number, recipe.steps, recipe.learning_rate)
        total = 0.0
        for micro in range(recipe.accumulate):
            loss = self._loss(generator_for(recipe.seed, "step", number, micro)) / recipe.accumulate
            loss.backward()
            total += float(loss.detach())
        if not math.isfinite(total):
            raise InfrastructureError(f"step {number + 1}: the loss is {total}; try a lower --learning-rate.")
        torch.nn.utils.clip_grad_norm_(trained_parameters(self.transformer).values(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.losses.append(total)

    def _loss(self, random: torch.Generator) -> torch.Tensor:
        """Squared error of the velocity for a batch of pairs, drawn by weight and mixed with fresh noise."""
        recipe, states = self.recipe, self.states
        chosen = torch.multinomial(states.weights, recipe.batch_size, replacement=True, generator=random)
        images, prompts = states.rows[chosen].unbind(1)
        pictures = states.latents[images].to(self.device, torch.float32)
        noise = torch.randn(pictures.shape, generator=random).to(self.device)
        drawn = draw_sigmas(recipe.timesteps, recipe.batch_size, random)
        sigmas = shifted(self.scheduler, drawn, self.architecture.tokens(pictures)).to(self.device)
        mixed = torch.lerp(pictures, noise, sigmas[:, None, None, None])
        texts = {name: tensor[prompts].to(self.device, self.dtype) for name, tensor in states.texts.items()}
        guess = self.architecture.velocity(mixed.to(self.dtype), sigmas, texts)
        return functional.mse_loss(guess.float(), noise - pictures)

    def keep(self, workplace: Workplace) -> None:
        """Write the checkpoint, whole or not at all."""
        checkpoint.keep(workplace, trained_parameters(self.transformer), self.optimizer, self.losses)

    def recall(self, workplace: Workplace) -> None:
        """Go on from the checkpoint, if there is one."""
        parameters = trained_parameters(self.transformer)
        self.losses = checkpoint.recall(workplace, parameters, self.optimizer, self.device)


def train(
    model: DiffusersModel,
    data: PairFolder,
    recipe: Recipe,
    running: Running,
    workplace: Workplace,
    subject: Mapping[str, Any],
    *,
    progress: Progress,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train until the recipe's last step, or until `stop` says so between two steps, which leaves a checkpoint.

    `subject` is what the workplace was begun with; it goes into the provenance. Raises UsageError for data and targets
    that do not fit the model, and InfrastructureError when loading or training fails."""
    trainer, pipeline_class = _trainer(model, data, recipe, running, workplace, progress)
    trainer.recall(workplace)
    kept = len(trainer.losses)
    with progress.bar("train-lora", done=kept, total=recipe.steps, unit="step") as tick:
        while len(trainer.losses) < recipe.steps and not stop():
            _advance(trainer)
            tick(1)
            if len(trainer.losses) % running.checkpoint_every == 0:
                trainer.keep(workplace)
    outcome = Outcome(len(trainer.losses), len(trainer.losses) == recipe.steps, tuple(trainer.losses))
    if outcome.finished:
        saved = getattr(torch, recipe.saved_dtype) if recipe.saved_dtype else trainer.dtype
        content = adapter_file(pipeline_class, trainer.transformer, recipe, saved)
        workplace.finish(_provenance(subject, outcome), content)
    else:
        trainer.keep(workplace)
    return outcome


def _trainer(
    model: DiffusersModel,
    data: PairFolder,
    recipe: Recipe,
    running: Running,
    workplace: Workplace,
    progress: Progress,
) -> tuple[_Trainer, Any]:
    dtype_name = recipe.dtype or default_dtype(model.device)
    pipeline: Any = replace(model, settings=replace(model.settings, dtype=dtype_name)).load().pipeline
    refuse_other_schedulers(model.name, pipeline.scheduler)
    call, device = model.settings.call, torch.device(model.device)
    guidance = recipe.guidance if recipe.guidance is not None else float(call_value(pipeline, call, "guidance_scale"))
    architecture = architecture_of(model.name, pipeline, call, guidance)
    size = _checked_size(pipeline, picture_size(model, recipe))
    transformer, readers = _laid_out(pipeline, device)
    _warn_of_cut_prompts(pipeline, call, data)
    with quiet_libraries():
        states = encode(pipeline, architecture, data, size, workplace.work, progress)
    for name in readers:
        setattr(pipeline, name, None)
    add_adapter(transformer, recipe)
    transformer.to(device)
    if running.gradient_checkpointing:
        transformer.enable_gradient_checkpointing()
    trainer = _Trainer(transformer, architecture, pipeline.scheduler, states, recipe, device, transformer.dtype)
    return trainer, type(pipeline)


def _laid_out(pipeline: Any, device: torch.device) -> tuple[Any, list[str]]:
    """The transformer, waiting on the host, and the names of what encodes, on the device: they need not fit together.

    Loading may have laid the parts out for drawing, with hooks that move them about; training moves them itself."""
    pipeline.remove_all_hooks()
    readers = [name for name in _READERS if getattr(pipeline, name, None) is not None]
    pipeline.transformer.to("cpu")
    for name in readers:
        getattr(pipeline, name).to(device)
    return pipeline.transformer, readers


def _warn_of_cut_prompts(pipeline: Any, call: Mapping[str, Any], data: PairFolder) -> None:
    notes = (prompt_notes(pipeline, call, prompt, chunked=False) for prompt in data.prompts)
    if cut := sum(not note["complete"] for note in notes):
        warnings.warn(f"{cut} of {len(data.prompts)} prompts are longer than the encoders read, and cut", stacklevel=2)


def _checked_size(pipeline: Any, size: tuple[int, int] | None) -> tuple[int, int]:
    """Width and height in pixels, whole patches each."""
    factor = pipeline.vae_scale_factor
    width, height = size or (pipeline.default_sample_size * factor,) * 2
    if width % (2 * factor) or height % (2 * factor):
        raise UsageError(f"size {width}x{height}: both sides must be multiples of {2 * factor}.")
    return width, height


def _advance(trainer: _Trainer) -> None:
    try:
        trainer.step()
    except RuntimeError as error:
        hint = "try a smaller --batch-size or --gradient-checkpointing" if "memory" in str(error) else "see the log"
        raise InfrastructureError(f"step {len(trainer.losses) + 1} failed: {first_line(error)} ({hint}).") from error


def _provenance(subject: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    first, last = outcome.trend
    packages = ("aes-audit", "diffusers", "peft", "torch", "transformers")
    return {
        **subject,
        "loss": {"first_tenth": round(first, 5), "last_tenth": round(last, 5)},
        "versions": {package: version(package) for package in packages},
    }
