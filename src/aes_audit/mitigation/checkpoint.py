"""What is kept of a training between two steps, and what came of it."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from aes_audit.errors import UsageError
from aes_audit.evidence import files
from aes_audit.mitigation.workplace import Workplace

__all__ = ["Outcome", "keep", "recall"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run."""

    steps: int
    """Updates done, those of earlier runs included."""
    finished: bool
    """Whether the adapter is there; otherwise a checkpoint is."""
    losses: tuple[float, ...]
    """Loss of every step so far."""

    @property
    def trend(self) -> tuple[float, float]:
        """Mean loss of the first and of the last tenth of the steps."""
        tenth = max(1, len(self.losses) // 10)
        return sum(self.losses[:tenth]) / tenth, sum(self.losses[-tenth:]) / tenth


def keep(
    workplace: Workplace,
    parameters: Mapping[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    losses: Sequence[float],
) -> None:
    """Write the checkpoint, whole or not at all."""
    buffer = io.BytesIO()
    state = {
        "adapter": {name: value.detach().cpu() for name, value in parameters.items()},
        "optimizer": optimizer.state_dict(),
        "losses": list(losses),
    }
    torch.save(state, buffer)
    files.write(workplace.checkpoint, buffer.getvalue())


def recall(
    workplace: Workplace,
    parameters: Mapping[str, torch.nn.Parameter],
    optimizer: torch.optim.Optimizer,
    device: torch.device,
) -> list[float]:
    """Take over the checkpoint, if there is one: the losses of the steps done so far.

    Raises UsageError for a checkpoint that cannot be read.
    """
    if not workplace.checkpoint.is_file():
        return []
    try:
        stored = torch.load(workplace.checkpoint, map_location=device, weights_only=True)
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(stored["adapter"][name])
        optimizer.load_state_dict(stored["optimizer"])
        return list(stored["losses"])
    except (OSError, RuntimeError, LookupError, ValueError, pickle.UnpicklingError) as error:
        raise UsageError(
            f"--resume: the checkpoint {str(workplace.checkpoint)!r} cannot be read "
            f"({' '.join(str(error).split())[:120]}): start anew in another folder."
        ) from error
