"""Whether the rewards behind a number may gate anything: asked once per reward, before its first verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from aes_audit.errors import InfrastructureError
from aes_audit.evidence.schema import FACE
from aes_audit.planning import Case

if TYPE_CHECKING:
    from aes_audit.evidence.engines.protocol import Engine
    from aes_audit.evidence.store import Store
    from aes_audit.judges.protocol import PreferenceJudge
    from aes_audit.rewards.protocol import ResolvedReward

__all__ = ["RewardHealth"]


class RewardHealth:
    """The health of the rewards of one run."""

    def __init__(
        self,
        rewards: Mapping[str, ResolvedReward],
        preferences: Sequence[PreferenceJudge],
        store: Store,
        engine: Engine,
    ) -> None:
        """`rewards` and preference judges of the run, and the store that keeps the answers about the known cases."""
        self._rewards = rewards
        self._preferences = preferences
        self._store = store
        self._engine = engine
        self._verdicts: dict[str, str | None] = {}

    def refuse_unhealthy(self, case: Case) -> None:
        """Raise InfrastructureError when a reward behind the number cannot order the known cases."""
        for name in self.behind(case):
            if reason := self.reason(name):
                raise InfrastructureError(reason)

    def behind(self, case: Case) -> list[str]:
        """The rewards that a number is made from."""
        judges = [judge for judge in self._preferences if judge.name in (case.scorer, case.truth)]
        names = {case.scorer.removesuffix(FACE), *(str(getattr(judge, "matcher", "")) for judge in judges)}
        return sorted(names & self._rewards.keys())

    def reason(self, name: str) -> str | None:
        """Why a reward may gate nothing; None where it may. Raises InfrastructureError or StoreUnusable."""
        from aes_audit.evidence.health import unhealthy
        from aes_audit.rewards.health import verdict

        if name not in self._verdicts:
            self._verdicts[name] = verdict(unhealthy(self._rewards[name], self._store, self._engine))
        found = self._verdicts[name]
        return f"{name}: {found}" if found else None
