"""The training itself: a frozen Qwen3-VL, and an adapter that learns to answer a question with the class people gave.

The loss is the cross-entropy, over the whole vocabulary, of the answer's token at the place where the judge reads it.
A loop of our own instead of a trainer's: the judge makes its own inputs, and a resumed run has to end as an
undisturbed one."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import torch
from torch.nn import functional

from aes_audit.errors import InfrastructureError
from aes_audit.evidence.batches import fixed_batches
from aes_audit.evidence.progress import Progress
from aes_audit.judges.guideline import note_guideline
from aes_audit.judges.training.adapter import CONFIG, adapter_files, with_adapter
from aes_audit.judges.training.annotations import RatedImage
from aes_audit.judges.training.recipe import JudgeRecipe, JudgeRunning
from aes_audit.judges.vision_language import QwenJudgeModel
from aes_audit.judges.vision_language_judge import VisionLanguageJudge
from aes_audit.judges.vision_language_loading import load_vision_language_judge
from aes_audit.mitigation import checkpoint
from aes_audit.mitigation.checkpoint import Outcome
from aes_audit.mitigation.noise import generator_for, learning_rate
from aes_audit.mitigation.workplace import Workplace
from aes_audit.weights.loading import first_line

__all__ = ["train_judge"]

_Question = tuple[RatedImage, tuple[str, ...]]


@dataclass(slots=True)
class _Trainer:
    """A judge with its adapter, and everything that one update needs."""

    judge: VisionLanguageJudge
    adapted: Any
    images: Sequence[RatedImage]
    recipe: JudgeRecipe
    optimizer: torch.optim.Optimizer = field(init=False)
    losses: list[float] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        """Start with an untouched optimizer."""
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(), lr=self.recipe.learning_rate, weight_decay=self.recipe.weight_decay
        )

    @property
    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """What is learnt, by name."""
        return {name: value for name, value in self.adapted.named_parameters() if value.requires_grad}

    @property
    def steps(self) -> int:
        """Updates of the whole training."""
        return self.recipe.steps(len(self.images))

    def step(self) -> None:
        """One update; raises InfrastructureError when the loss is no number, UsageError for a broken picture."""
        number, recipe = len(self.losses), self.recipe
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(number, self.steps, recipe.learning_rate)
        asked = self._asked(number)
        count, total = sum(len(names) for _, names in asked), 0.0
        for batch in fixed_batches(asked, recipe.batch_size):
            # Every question of an update counts the same, however they fall into batches.
            loss = self._loss(batch) / count
            loss.backward()
            total += float(loss.detach())
        if not math.isfinite(total):
            raise InfrastructureError(f"update {number + 1}: the loss is {total}; try a lower --learning-rate.")
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.losses.append(total)

    def _asked(self, number: int) -> list[_Question]:
        """The images of an update, each with the dimensions it is asked about: they follow from seed and number."""
        per_epoch = self.steps // self.recipe.epochs
        epoch, place = divmod(number, per_epoch)
        order = torch.randperm(len(self.images), generator=generator_for(self.recipe.seed, "epoch", epoch)).tolist()
        chosen = order[place * self.recipe.update : (place + 1) * self.recipe.update]
        return [(self.images[index], self._dimensions(epoch, index)) for index in chosen]

    def _dimensions(self, epoch: int, index: int) -> tuple[str, ...]:
        names = tuple(self.images[index].classes)
        if self.recipe.questions is None or self.recipe.questions >= len(names):
            return names
        drawn = torch.randperm(len(names), generator=generator_for(self.recipe.seed, "questions", epoch, index))
        return tuple(names[place] for place in sorted(drawn[: self.recipe.questions].tolist()))

    def _loss(self, batch: Sequence[_Question]) -> torch.Tensor:
        """Summed over the questions."""
        model, digits = self.judge.model, self.judge.conversation.digits
        answers = [digits[image.classes[name]] for image, names in batch for name in names]
        states = self.judge.read_turns([(image.open(), names) for image, names in batch])
        # In float32, as the judge reads them: in half precision close answers would be one.
        logits = states.float() @ model.lm_head.weight.float().T
        return functional.cross_entropy(logits, torch.tensor(answers, device=logits.device), reduction="sum")

    def keep(self, workplace: Workplace) -> None:
        """Write the checkpoint."""
        checkpoint.keep(workplace, self.parameters, self.optimizer, self.losses)


def train_judge(
    model: QwenJudgeModel,
    images: Sequence[RatedImage],
    recipe: JudgeRecipe,
    running: JudgeRunning,
    workplace: Workplace,
    subject: Mapping[str, Any],
    *,
    progress: Progress,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train to the last update, or until `stop` says so between two of them, which leaves a checkpoint.

    `subject` is what the workplace was begun with; it goes into the provenance. Raises UsageError for targets and
    pictures that do not fit, and InfrastructureError when loading or training fails.
    """
    judge = _loaded(model)
    adapted = with_adapter(judge.model, recipe, model.weights.source.repo)
    judge.model.train()
    if running.gradient_checkpointing:
        with warnings.catch_warnings():
            # Newer versions have another name for it, older ones only this one.
            warnings.simplefilter("ignore", FutureWarning)
            judge.model.gradient_checkpointing_enable({"use_reentrant": False})
    trainer = _Trainer(judge, adapted, images, recipe)
    trainer.losses = checkpoint.recall(workplace, trainer.parameters, trainer.optimizer, judge.model.device)
    with progress.bar("train-judge", done=len(trainer.losses), total=trainer.steps, unit="update") as tick:
        while len(trainer.losses) < trainer.steps and not stop():
            _advance(trainer)
            tick(1)
            if len(trainer.losses) % running.checkpoint_every == 0:
                trainer.keep(workplace)
    outcome = Outcome(len(trainer.losses), len(trainer.losses) == trainer.steps, tuple(trainer.losses))
    if not outcome.finished:
        trainer.keep(workplace)
        return outcome
    described, weights = adapter_files(adapted)
    note_guideline(workplace.folder, model.guideline)
    workplace.finish(_provenance(subject, outcome), weights, {CONFIG: described})
    return outcome


def _loaded(model: QwenJudgeModel) -> VisionLanguageJudge:
    """The judge that the audits load, on layers that can learn."""
    return load_vision_language_judge(
        model.weights.folder(),
        device=model.device,
        guideline=model.guideline,
        order=model.settings.order,
        size=model.settings.size,
        dtype=model.settings.dtype,
        loras=[lora.folder() for lora in model.loras],
        processor=model.processor.folder() if model.processor else None,
        learning=True,
    )


def _advance(trainer: _Trainer) -> None:
    try:
        trainer.step()
    except RuntimeError as error:
        hint = "try a smaller --batch-size, --questions or --gradient-checkpointing"
        hint = hint if "memory" in str(error) else "see the log"
        raise InfrastructureError(f"update {len(trainer.losses) + 1} failed: {first_line(error)} ({hint}).") from error


def _provenance(subject: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    first, last = outcome.trend
    packages = ("aes-audit", "peft", "torch", "transformers")
    return {
        **subject,
        "loss": {"first_tenth": round(first, 5), "last_tenth": round(last, 5)},
        "versions": {package: version(package) for package in packages},
    }
