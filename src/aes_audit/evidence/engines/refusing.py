"""What a store that is read only lacks is said before a model is loaded for it."""

from __future__ import annotations

from aes_audit.evidence.engines.protocol import Stage
from aes_audit.evidence.store import Store

__all__ = ["refuse_read_only"]


def refuse_read_only(stage: Stage, store: Store) -> None:
    """Raise StoreUnusable, saying how much it is, where a stage has something to make and nowhere to keep it."""
    if not store.read_only:
        return
    if missing := sum(len(batch.wanted) for batch in stage.left(store)):
        made = "images" if stage.operator.draws else "scores"
        store.refuse_missing(f"{missing} of {stage.total} {made} by {stage.operator.name}")
