"""One pytest run: the configuration, the session opened when it is needed, and the results gathered."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from aes_audit.errors import UsageError
from aes_audit.evidence.progress import Progress
from aes_audit.options import AuditConfig, read_config
from aes_audit.planning import Case
from aes_audit.report.results import Entry, prepare_results, run_provenance, write_results
from aes_audit.report.table import images_saved, verdict_table

if TYPE_CHECKING:
    from aes_audit.session import AuditSession

__all__ = ["PROPERTY", "AuditRun"]

PROPERTY = "aes_audit"
"""Name of the report property that carries a measurement to the controller, also under xdist."""


class AuditRun:
    """Lives in the pytest configuration's stash, one per process."""

    def __init__(self, pytest_config: pytest.Config) -> None:
        """Read the options; raises UsageError for what a typo can break, when audits were asked for."""
        self._pytest = pytest_config
        self._started = time.time()
        self._complaint: str | None = None
        self.config: AuditConfig = read_config(pytest_config)
        self.entries: list[Entry] = []
        self.is_worker = hasattr(pytest_config, "workerinput")
        if self.config.json_path and not self.is_worker:
            prepare_results(self.config.json_path)
        if self._asks_for_audits:
            _ = self.session

    @cached_property
    def session(self) -> AuditSession:
        """The audit session; opening it looks everything up and loads nothing."""
        from aes_audit.session import open_session

        return open_session(self.config, Progress(self._on_terminal, self._uncaptured))

    @property
    def _asks_for_audits(self) -> bool:
        # Only decides how early a fault is reported: audits found later open the session when they are collected.
        paths = [Path(argument.split("::")[0]) for argument in self._pytest.args]
        return self.config.names_subjects or any("audits" in path.parts for path in paths)

    @property
    def opened(self) -> bool:
        """Whether this run has audits."""
        return "session" in self.__dict__

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather what tests measured; under xdist the controller sees every worker's reports."""
        if report.when == "call":
            self.entries += [json.loads(str(value)) for name, value in report.user_properties if name == PROPERTY]

    def select(self, items: Sequence[pytest.Item]) -> None:
        """Tell the session which cases will be checked: images that none of them needs are not made."""
        if not self.opened:
            return
        whole = any("evidence" in getattr(item, "fixturenames", ()) for item in items)
        params = [item.callspec.params.get("audit") for item in items if hasattr(item, "callspec")]
        self.session.select(None if whole else [case for case in params if isinstance(case, Case)])

    def header(self) -> list[str]:
        """What is audited, where and with what."""
        return self.session.header() if self.opened else []

    def finish(self) -> bool:
        """Write the results file where one was asked for; false when it could not be written."""
        if self.config.json_path is None or not self.opened or self.is_worker:
            return True
        try:
            run = run_provenance(self.session.provenance(), self._started)
            write_results(self.config.json_path, run, self.entries)
        except UsageError as error:
            self._complaint = str(error)
        return self._complaint is None

    def summary(self) -> Iterator[str]:
        """The verdict table and where the results went."""
        yield from verdict_table(self.entries)
        yield from images_saved(self.entries)
        if self._complaint:
            yield f"ERROR: {self._complaint}"
        elif self.config.json_path and self.opened:
            yield f"results: {self.config.json_path}"

    def _on_terminal(self) -> bool:
        reporter = self._pytest.pluginmanager.getplugin("terminalreporter")
        quiet = self._pytest.get_verbosity() < 0
        return bool(reporter and reporter.isatty and not quiet and not self.is_worker)

    def _uncaptured(self) -> AbstractContextManager[None]:
        manager = self._pytest.pluginmanager.getplugin("capturemanager")
        return manager.global_and_fixture_disabled() if manager else nullcontext()
