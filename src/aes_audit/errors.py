"""What can go wrong, as one tree; catch the branch you can handle.

* AesAuditError                every error this project raises on purpose
  x UsageError                 the call or its input is wrong: exit code 4, nothing was measured
    + UnknownName              a model, reward, profile, metric or key that does not exist
    + ModelNotFound            a folder, repository or revision that cannot be read
    + UnsafeWeights            weights that could run code when loaded
    + InvalidPrompts           a prompt set that breaks its schema
    + InvalidThresholds        thresholds.toml breaks its schema
      - UnreachableThreshold   a gate that no outcome could pass
    + InvalidEvidence          an evidence file breaks its schema
    + InvalidBaseline          a baseline file that cannot be read
    + StoreUnusable            the store cannot be read or written
  x MissingScores              a measure has no item with every score it needs
  x BudgetSpent                the money set aside for hosted models is spent: inconclusive, never a regression
  x InfrastructureError        loading or running a model failed: not measured, never a regression
    + EngineUnreachable        there is no cluster to run any model on

Messages are one clear sentence that holds the offending value and the way out.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "AesAuditError",
    "BudgetSpent",
    "EngineUnreachable",
    "InfrastructureError",
    "InvalidBaseline",
    "InvalidEvidence",
    "InvalidPrompts",
    "InvalidThresholds",
    "MissingScores",
    "ModelNotFound",
    "StoreUnusable",
    "UnknownName",
    "UnreachableThreshold",
    "UnsafeWeights",
    "UsageError",
]


class AesAuditError(Exception):
    """Base of every error raised on purpose."""


class UsageError(AesAuditError):
    """The call or its input is wrong; nothing was measured (exit code 4)."""


class UnknownName(UsageError):
    """A name that does not exist; the message lists what does."""

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        """`kind` is the noun ("reward"), `name` what was typed, `known` what would have worked."""
        choices = sorted(known)
        close = difflib.get_close_matches(name, choices, n=1, cutoff=0.6)
        guess = f" Did you mean {close[0]!r}?" if close else ""
        listing = ", ".join(choices) or "none"
        super().__init__(f"unknown {kind} {name!r}.{guess} Known: {listing}.{' ' + hint if hint else ''}")


class ModelNotFound(UsageError):
    """A folder, repository or revision that cannot be read."""


class UnsafeWeights(UsageError):
    """Weights that could run code when loaded; only safetensors are read."""


class InvalidPrompts(UsageError):
    """A prompt set that breaks its schema."""


class InvalidThresholds(UsageError):
    """thresholds.toml breaks its schema."""


class UnreachableThreshold(InvalidThresholds):
    """A gate that no outcome could pass at the planned number of items."""


class InvalidEvidence(UsageError):
    """An evidence file breaks its schema; the message names file, column and key."""


class InvalidBaseline(UsageError):
    """A baseline file that cannot be read."""


class StoreUnusable(UsageError):
    """The store cannot be read or written (missing, full, read-only)."""


class MissingScores(AesAuditError):
    """A measure has no item with every score it needs."""


class BudgetSpent(AesAuditError):
    """The next call to a hosted model would cost more than is left; what it was for is inconclusive."""


class InfrastructureError(AesAuditError):
    """Loading or running a model failed: not measured, never a regression."""


class EngineUnreachable(InfrastructureError):
    """There is no cluster to run any model on, which ends every case alike."""

    @property
    def again(self) -> InfrastructureError:
        """What is said of it from the second time on: cause and way out are said once."""
        return InfrastructureError("its engine cannot be reached, as was said of the first case that needs it.")
