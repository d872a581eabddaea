"""What a run may spend on hosted models, and what it has spent: checked and said before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aes_audit.endpoints.budget import Budget, dollars
from aes_audit.evidence.keys import image_key
from aes_audit.generators.hosted.model import HostedModel
from aes_audit.generators.protocol import ImageRequest, ResolvedGenerator

if TYPE_CHECKING:
    from aes_audit.evidence.store import Store

__all__ = ["Requests", "Spending"]

Requests = Callable[[str], Iterable[ImageRequest]]
"""Everything that the generator of a name will be asked to draw in a run."""


@dataclass
class Spending:
    """The money side of one run; its processes share the budget through a file beside the store's locks."""

    limit_usd: float | None
    """What --audit-budget allows; None for no limit."""
    run: str
    """The run's name."""
    local: Path
    """Folder of the store that belongs to this machine."""

    @cached_property
    def budget(self) -> Budget:
        """What every call of this run is paid from."""
        return Budget(self.limit_usd, self.local / "locks" / f"budget-{self.run}.json")

    def paid(self, model: ResolvedGenerator) -> ResolvedGenerator:
        """A hosted model on this run's budget, any other as it is. Raises UsageError for an unknown price."""
        return model.paid_from(self.budget) if isinstance(model, HostedModel) else model

    def refuse_unready(self, models: Mapping[str, ResolvedGenerator], requests: Requests, store: Store) -> None:
        """Raise UsageError where images are to be made and the key or the client library is missing."""
        for name, model in models.items():
            if isinstance(model, HostedModel) and _images_to_make(model, requests(name), store):
                model.refuse_unready()

    def header(self, models: Mapping[str, ResolvedGenerator], requests: Requests, store: Store) -> Iterator[str]:
        """What each hosted model may cost at most, one line each, with what is in the store left out."""
        for name, model in models.items():
            if isinstance(model, HostedModel):
                yield f"  {name}: {_cost(model, _images_to_make(model, requests(name), store))}; {self.limit_text}"

    def record(self, models: Mapping[str, ResolvedGenerator], *, judges: bool = False) -> Mapping[str, Any]:
        """For the results file: limit and sum of this run, in US dollars; empty where nothing is hosted.

        `judges` says whether there are judges behind endpoints.
        """
        if not judges and not any(isinstance(model, HostedModel) for model in models.values()):
            return {}
        return {"spending": {"budget_usd": self.limit_usd, "spent_usd": self.budget.spent_usd}}

    @property
    def limit_text(self) -> str:
        """The budget in a few words."""
        return "no --audit-budget" if self.limit_usd is None else f"budget {dollars(self.limit_usd)}"


def _images_to_make(model: HostedModel, requests: Iterable[ImageRequest], store: Store) -> int:
    keys = {image_key(model.identity, asked.prompt, asked.seed) for asked in requests}
    return sum(record is None for record in store.images(keys))


def _cost(model: HostedModel, wanted: int) -> str:
    from aes_audit.generators.hosted.generator import ANSWERS

    if not wanted:
        return "every image is in the store"
    if model.price is None:
        return f"{wanted} images to make at an unknown price"
    at_most = dollars(wanted * model.price)
    return (
        f"{wanted} images to make at {dollars(model.price)} each cost up to {at_most}, and up to "
        f"{dollars(wanted * model.price * ANSWERS)} if every answer without a picture must be repeated"
    )
