"""One pytest run: the configuration, the session opened when it is needed, and the results gathered."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aes_audit.errors import InvalidBaseline, UsageError
from aes_audit.evidence.progress import Progress
from aes_audit.evidence.storage.address import folder_of, local_folder
from aes_audit.evidence.storage.haste import hurry
from aes_audit.options import AuditConfig, names_audits, read_config
from aes_audit.planning import Case
from aes_audit.report.annotations import gate_annotations
from aes_audit.report.escaping import printable
from aes_audit.report.forecast import forecast_lines
from aes_audit.report.handover import Handover
from aes_audit.report.next_command import Typed, next_command
from aes_audit.report.notes import art_notes, baseline_notes, face_notes, image_notes, position_notes
from aes_audit.report.results import Entry, prepare_results, results_of, run_provenance, write_results
from aes_audit.report.run_folder import PAGE, prepare_folder, refuse_within
from aes_audit.report.step_summary import write_step_summary
from aes_audit.report.table import Line, images_saved, verdict_lines
from aes_audit.workers import Workers, refuse_several_drivers

if TYPE_CHECKING:
    from aes_audit.live.forecast import RunPlan
    from aes_audit.repeating import Repeats
    from aes_audit.session import AuditSession

__all__ = ["MEASURED", "AuditRun", "is_audit"]

_UNBLESSED = '--snapshot-update would write baselines of audits: say why with --audit-bless "reason".'

MEASURED = "aes_audit"
"""Attribute of a test's report that carries its measurements, each as JSON, to the controller of xdist."""

COMPLAINT = "aes_audit_complaint"
"""What a worker of xdist could not hand over, on its way to the controller."""


def is_audit(item: pytest.Item) -> bool:
    """Whether a collected test checks a case."""
    return isinstance(item, pytest.Function) and hasattr(item, "callspec") and "audit" in item.callspec.params


class AuditRun:
    """Lives in the pytest configuration's stash, one per process."""

    def __init__(self, pytest_config: pytest.Config) -> None:
        """Read the options; raises UsageError for what a typo can break, when audits were asked for."""
        self._pytest = pytest_config
        self._started = time.time()
        self._complaint: str | None = None
        self._stopped = False
        self.plan: RunPlan | None = None
        """What the run would do, once --audit-plan has found it out."""
        self.config: AuditConfig = read_config(pytest_config)
        self.entries: list[Entry] = []
        self.is_worker = hasattr(pytest_config, "workerinput")
        if self._writes_unblessed and self._is_distributed and names_audits(self._pytest):
            # The workers collect, and none of them could end the run with one sentence.
            raise UsageError(_UNBLESSED)
        if self.config.plan:
            # Nothing is run, so there is nothing to distribute.
            pytest_config.option.dist = "no"
        if self.config.json_path and not self.is_worker:
            prepare_results(self.config.json_path)
        if self.config.report_path and not self.is_worker and not self.config.plan:
            prepare_folder(self.config.report_path)
            refuse_within(self.config.report_path, self._other_places)
        if self._asks_for_audits:
            _ = self.session

    @cached_property
    def session(self) -> AuditSession:
        """The audit session; opening it looks everything up and loads nothing."""
        from aes_audit.opening import open_session

        if self.is_worker or self._is_distributed:
            refuse_several_drivers(self.config)
        return open_session(self.config, Progress(self._on_terminal, self._uncaptured))

    @cached_property
    def _handover(self) -> Handover:
        """What workers collected, on its way to the report; a run without audits need have no place for it."""
        return Handover(local_folder(self.config.store), self.config.run)

    @cached_property
    def repeats(self) -> Repeats:
        """The repeats that --audit-calibrate asks for; nothing is run before a case needs it."""
        from aes_audit.live.session import LiveSession
        from aes_audit.repeating import open_repeats

        assert self.config.calibrate is not None
        assert isinstance(self.session, LiveSession)
        return open_repeats(self.session, self.config.calibrate)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Refuse to write baselines without a reason, before anything is measured; other snapshots need none."""
        if self._writes_unblessed and not self.is_worker and any(map(is_audit, session.items)):
            raise pytest.UsageError(_UNBLESSED)

    @property
    def _other_places(self) -> Mapping[str, Path | None]:
        """What this run reads and writes besides its report, by option."""
        junit = self._pytest.getoption("xmlpath", None)
        return {
            "--evidence": self.config.evidence,
            "--audit-json": self.config.json_path,
            "--junitxml": Path(os.path.expandvars(junit)).expanduser() if junit else None,
            "--audit-store": folder_of(self.config.store),
            "--audit-baselines": self.config.baselines,
        }

    @property
    def _writes_unblessed(self) -> bool:
        option = self._pytest.getoption
        writes = option("update_snapshots", False) or option("update_new_snapshots_only", False)
        return bool(writes) and self.config.bless is None

    @property
    def _is_distributed(self) -> bool:
        return not self.is_worker and self._pytest.getoption("dist", "no") != "no"

    def workers(self, count: int) -> Workers | None:
        """What each of so many workers of xdist may use; None where none of them runs a model."""
        from aes_audit.live.session import LiveSession

        if not (self.opened and isinstance(self.session, LiveSession)):
            return None
        return Workers.of(count, self.session.device, len({case.worker for case in self.session.cases}))

    @property
    def _asks_for_audits(self) -> bool:
        # Only decides how early a fault is reported: audits found later open the session when they are collected.
        return self.config.names_subjects or names_audits(self._pytest)

    @property
    def opened(self) -> bool:
        """Whether this run has audits."""
        return "session" in self.__dict__

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """With --audit-plan, run no test; pytest calls this when all of them are collected."""
        if not self.config.plan or session.testsfailed:
            return None
        try:
            self.plan = self._planned()
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None
        return True

    def _planned(self) -> RunPlan | None:
        from aes_audit.live.session import LiveSession

        if not (self.opened and isinstance(self.session, LiveSession)):
            return None
        from aes_audit.live.forecast import plan_run

        return plan_run(self.session)

    def pytest_keyboard_interrupt(self) -> None:
        """Remember that someone stopped the run: it can go on, unlike one that could not collect its tests."""
        self._stopped = True
        hurry()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather what tests measured; under xdist the controller sees every worker's reports."""
        for measured in getattr(report, MEASURED, ()):
            self.entries.append({**json.loads(measured), "outcome": report.outcome})

    def pytest_runtest_logfinish(self) -> None:
        """Hand over what a worker collected as soon as a test is done: who is interrupted has no time for it."""
        if self.is_worker and self.opened and self.config.report_path and not self.config.evidence:
            with self._complaining():
                self._handover.give(self.session.collected)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Hear what a worker of xdist could not hand over: raised there, it would end the worker and not the run."""
        self._complaint = self._complaint or getattr(node, "workeroutput", {}).get(COMPLAINT)

    def select(self, items: Sequence[pytest.Item]) -> None:
        """Tell the session which cases will be checked: images that none of them needs are not made."""
        if not self.opened:
            return
        whole = any("evidence" in getattr(item, "fixturenames", ()) for item in items)
        cases = {item: item.callspec.params.get("audit") for item in items if hasattr(item, "callspec")}
        checked = {item: case for item, case in cases.items() if isinstance(case, Case)}
        compared = {case for item, case in checked.items() if self._has_baseline(item.path, case)}
        self.session.select(None if whole else list(checked.values()), compared)

    def _has_baseline(self, path: Path, case: Case) -> bool:
        from aes_audit.gates.baselines import audit_name, baseline_index, read_baseline

        index = baseline_index(case.subject, audit_name(path), case.baseline_key)
        try:
            return read_baseline(self.config.baselines, index) is not None
        except InvalidBaseline:
            return True

    def close(self) -> None:
        """Give back what the session holds."""
        if self.opened:
            self.session.close()

    def header(self) -> list[str]:
        """What is audited, where and with what."""
        if not self.opened:
            return []
        count = len(self._pytest.getoption("tx", ())) if self._is_distributed else 0
        workers = self.workers(count) if count else None
        return [*self.session.header(), *([workers.header] if workers else [])]

    def finish(self, *, interrupted: bool) -> bool:
        """Write what was asked for: results file, run folder, step summary; false when one of them could not be."""
        # A controller of xdist collects nothing: it may hear of audits only from what workers measured.
        if self.is_worker:
            self._pytest.workeroutput[COMPLAINT] = self._complaint  # type: ignore[attr-defined]
            return True
        if not (self.opened or self.entries):
            return True
        if self.config.plan:
            with self._complaining():
                self._write_plan()
            return self._complaint is None
        with self._complaining():
            self._write({**run_provenance(self.session.provenance(), self._started), "interrupted": interrupted})
        with self._complaining():
            write_step_summary(os.environ, self.entries, self.next_command, interrupted=interrupted)
        return self._complaint is None

    def give_up(self) -> None:
        """Somebody stopped the run once more while it wrote what was asked for: say so instead of a traceback."""
        self._stopped = True
        self._complaint = "stopped before all that was asked for was written: the same command writes it."

    @contextmanager
    def _complaining(self) -> Iterator[None]:
        """What cannot be written keeps nothing else from being written; the first fault is said at the end."""
        try:
            yield
        except UsageError as error:
            self._complaint = self._complaint or str(error)

    def _write_plan(self) -> None:
        if self.plan and self.config.json_path:
            run = run_provenance(self.session.provenance(), self._started)
            write_results(self.config.json_path, run, [], plan=self.plan.record)

    def _write(self, run: Mapping[str, Any]) -> None:
        if self.config.json_path:
            write_results(self.config.json_path, run, self.entries)
        if self.config.report_path:
            from aes_audit.report.html.writing import write_report

            evidence = self._handover.take(self.session.collected)
            results = results_of(run, self.entries)
            write_report(self.config.report_path, results, self.session, evidence, self.next_command)

    def summary(self, width: int | None) -> Iterator[Line]:
        """The verdict table, where the results went, and what to run next; `width` columns at most where it is given.

        With -q only what is not as it should be, and the counts.
        """
        if self.config.plan:
            yield from map(Line, forecast_lines(self.plan) if self.plan else ())
            if self._complaint:
                yield Line(f"ERROR: {self._complaint}", "error")
            return
        brief = self._pytest.get_verbosity() < 0
        yield from verdict_lines(self.entries, width, brief=brief)
        if not brief:
            yield from map(Line, self._notes())
        if self._stopped and self.opened and not self.config.evidence:
            yield Line(f"interrupted: the same command goes on with what is kept in {self.config.store}")
        if self._complaint:
            yield Line(f"ERROR: {self._complaint}", "error")
        elif self.config.json_path and self.opened:
            yield Line(f"results: {self.config.json_path}")
        if self.config.report_path and self.opened and not self._complaint:
            yield Line(f"report: {self.config.report_path / PAGE}")
        if self.next_command and not brief:
            yield Line(f"next, {self.next_command}")
        yield from map(Line, gate_annotations(self.entries, os.environ))

    def _notes(self) -> Iterator[str]:
        for notes in (baseline_notes, image_notes, art_notes, face_notes, position_notes, images_saved):
            yield from map(printable, notes(self.entries))

    @cached_property
    def next_command(self) -> str | None:
        """What for, and the command; None when nothing is left to do."""
        typed = tuple(map(str, self.config.command))
        return next_command(self.entries, Typed(typed, self.config.report_path, **self._pairs()))

    def _pairs(self) -> dict[str, int]:
        """How many pairs were used, planned and to be had; nothing for recorded evidence."""
        from aes_audit.live.session import LiveSession
        from aes_audit.prompts.pairs import read_prompt_set

        if not self.opened or not isinstance(self.session, LiveSession):
            return {}
        profile = self.session.profile
        whole = len(read_prompt_set(profile.prompts).pairs)
        return {"pairs": len(self.session.prompts.pairs), "planned": profile.pairs, "available": whole}

    def _on_terminal(self) -> bool:
        reporter = self._pytest.pluginmanager.getplugin("terminalreporter")
        quiet = self._pytest.get_verbosity() < 0
        return bool(reporter and reporter.isatty and not quiet and not self.is_worker)

    def _uncaptured(self) -> AbstractContextManager[None]:
        manager = self._pytest.pluginmanager.getplugin("capturemanager")
        return manager.global_and_fixture_disabled() if manager else nullcontext()
