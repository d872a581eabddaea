"""A generator behind an API: many calls at once, each answer a picture, a reason, or a reason to come back later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock

from aes_audit.endpoints.caller import Caller
from aes_audit.errors import AesAuditError, BudgetSpent
from aes_audit.evidence.keys import JSON
from aes_audit.generators.hosted.replies import Painter, Reply, outcome
from aes_audit.generators.protocol import Answer, ImageRequest, MissingImage, NotAttempted

__all__ = ["ANSWERS", "HostedGenerator"]

ANSWERS = 3
"""How often a model is asked in all for an image when it answers with text or with a broken one."""

_SEEDS = 2**31
"""Hosts take seeds of 31 bits."""


class HostedGenerator:
    """Draws through an API. A failure of the host may pass and is not stored; what a model will not draw is missing."""

    def __init__(self, painter: Painter, caller: Caller, *, seeded: bool) -> None:
        """`seeded`: the item's seed is sent along, for hosts that take one."""
        self._painter = painter
        self._caller = caller
        self._seeded = seeded
        self._notes: dict[str, Mapping[str, JSON]] = {}
        self._lock = Lock()

    def generate(self, requests: Sequence[ImageRequest]) -> list[Answer]:
        """One answer per request, in order; those that the budget cannot pay or the host fails are NotAttempted."""
        with self._lock:
            self._notes.clear()
        # Pictures that were paid for are handed on beside the failure, so that they are kept.
        return [
            NotAttempted(str(answer), failed=not isinstance(answer, BudgetSpent))
            if isinstance(answer, AesAuditError)
            else answer
            for answer in self._caller.map(self._drawn, requests)
        ]

    def prompt_notes(self, prompt: str) -> Mapping[str, JSON]:
        """What the host said about itself when it last answered this text: its version, what it did to the text."""
        with self._lock:
            return dict(self._notes.get(prompt, {}))

    def _drawn(self, request: ImageRequest) -> Answer:
        seed = request.seed % _SEEDS if self._seeded else None
        lacks: list[MissingImage] = []
        while len(lacks) < ANSWERS:
            reply = self._caller.call(lambda: self._painter.paint(request.prompt, seed), cost=_cost)
            with self._lock:
                self._notes[request.prompt] = {**reply.notes, "answers": len(lacks) + 1}
            answer = outcome(reply)
            if not isinstance(answer, MissingImage) or answer.kind == "refused":
                return answer
            lacks.append(answer)
        return MissingImage(f"{lacks[-1].reason} ({ANSWERS} answers)", lacks[-1].kind)


def _cost(reply: Reply) -> float | None:
    return reply.usd
