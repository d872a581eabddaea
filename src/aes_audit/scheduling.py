"""How xdist hands out tests where audits run: a subject's cases stay together, and a dead worker delays nobody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from aes_audit.planning import Case

__all__ = ["SubjectScheduling"]


class SubjectScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Gives all cases of a subject to one worker, so that its model is loaded once; every other test goes by itself.

    `--dist=loadgroup` would group them too, but append the subject to the names of tests in every report, and in xdist
    3.8 it waits for ever once a worker has died: finished work is handed out again, and a last test without successor.
    """

    def __init__(self, config: pytest.Config, log: Any, cases: Iterable[Case]) -> None:
        """`cases` are those of the run, whose ids stand in the names of tests."""
        super().__init__(config, log)
        # An id may be the beginning of another one.
        longest_first = sorted(cases, key=lambda case: len(case.id), reverse=True)
        self._subjects = {_as_in_names(case.id): case.worker for case in longest_first}

    def _split_scope(self, nodeid: str) -> str:
        parameters = nodeid.partition("[")[2]
        return next((subject for id_, subject in self._subjects.items() if id_ in parameters), nodeid)

    def remove_node(self, node: Any) -> str | None:
        """Forget a worker; returns the test that it died in, if any, and hands out what it had not begun."""
        if self.collection is None:
            # Its replacement has yet to say what it collected, and must not be sent work before.
            self.registered_collections.pop(node, None)
        unfinished = {
            scope: [nodeid for nodeid, done in unit.items() if not done]
            for scope, unit in self.assigned_work.pop(node).items()
        }
        died_in = next((nodeid for unit in unfinished.values() for nodeid in unit), None)
        for scope, unit in unfinished.items():
            if left := [nodeid for nodeid in unit if nodeid != died_in]:
                self.workqueue[scope] = dict.fromkeys(left, False)
        for other in self.nodes if died_in else ():
            self._reschedule(other)
        return died_in

    def _reschedule(self, node: Any) -> None:
        if node not in self.registered_collections:
            return
        super()._reschedule(node)
        # A worker begins a test when it knows what comes after: another one, or the end.
        if not node.shutting_down and self._pending_of(self.assigned_work[node]) < 2:
            super()._reschedule(node)


def _as_in_names(id_: str) -> str:
    """pytest writes names of tests in ASCII."""
    return id_.encode("unicode_escape").decode("ascii")
