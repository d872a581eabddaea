"""A store that keeps its images and forgets its scores: the same pictures are shown to every scorer once more."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aes_audit.evidence.keys import JSON
from aes_audit.evidence.store import Store

__all__ = ["RescoringStore"]


class RescoringStore(Store):
    """The images of the store at `address`, which may be read only, and scores of its own in another folder."""

    shared = False

    def __init__(self, address: str | Path, scores: Path) -> None:
        """Open both; `scores` starts empty and belongs to one repeat. Raises StoreUnusable."""
        super().__init__(address)
        self._fresh = Store(scores)

    def put_scores(self, key: str, record: Mapping[str, JSON]) -> None:
        """Keep a scorer's answers of this repeat."""
        self._fresh.put_scores(key, record)

    def scores(self, key: str) -> Mapping[str, Any] | None:
        """What a scorer answered in this repeat; None where it has not been asked yet."""
        return self._fresh.scores(key)

    def refuse_missing(self, what: str) -> None:
        """Scores have a place, and whoever scores images again has found them all before."""

    def put_rate(self, key: str, record: Mapping[str, JSON]) -> None:
        """Keep how fast a model was where the store can be written."""
        if not self.read_only:
            super().put_rate(key, record)
