"""Repeats of a whole session, for --audit-calibrate: the same arms, scored afresh or drawn with other seeds."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from aes_audit.evidence.rescoring import RescoringStore
from aes_audit.evidence.store import Store
from aes_audit.live.session import LiveSession
from aes_audit.measures.measurement import Measurement
from aes_audit.option_values import RepeatPlan
from aes_audit.planning import Case
from aes_audit.prompts.pairs import PromptSet
from aes_audit.session import AuditSession

__all__ = ["Repeats", "open_repeats"]


class Repeats:
    """The repeats of one session; each is run when the first case asks for it, and serves all cases."""

    def __init__(
        self, mode: str, sessions: Mapping[int, AuditSession], folder: tempfile.TemporaryDirectory[str]
    ) -> None:
        """Keep the sessions by repeat index, and the folder of their fresh scores as long as they live."""
        self.mode = mode
        self._sessions = sessions
        self._folder = folder

    def measurements(self, case: Case) -> list[Measurement]:
        """One measurement per repeat; raises InfrastructureError or StoreUnusable."""
        return [session.measurement(case) for session in self._sessions.values()]


def open_repeats(session: LiveSession, plan: RepeatPlan) -> Repeats:
    """Prepare the repeats of a session, without running one.

    `rescore` asks every scorer again about the stored images; `regenerate` draws with other seeds, where the session
    itself is the first of the repeats. Raises UsageError as opening a session does.
    """
    folder = tempfile.TemporaryDirectory(prefix="aes_audit-")
    sessions: dict[int, AuditSession] = {}
    for repeat in range(plan.runs):
        if plan.mode == "rescore":
            sessions[repeat] = _Rescored(session, Path(folder.name) / str(repeat))
        else:
            sessions[repeat] = _Redrawn(session, repeat) if repeat else session
    return Repeats(plan.mode, sessions, folder)


class _Rescored(LiveSession):
    """The same images before the same scorers, once more."""

    def __init__(self, session: LiveSession, scores: Path) -> None:
        self._scores = scores
        super().__init__(session.config, session.thresholds, session.profile, session.engine)

    @cached_property
    def store(self) -> Store:
        return RescoringStore(self.config.store, self._scores)


class _Redrawn(LiveSession):
    """The same prompts with other seeds."""

    def __init__(self, session: LiveSession, repeat: int) -> None:
        self._repeat = repeat
        super().__init__(session.config, session.thresholds, session.profile, session.engine)

    @cached_property
    def prompts(self) -> PromptSet:
        return replace(super().prompts, repeat=self._repeat)
