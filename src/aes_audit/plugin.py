"""The pytest plugin: hooks of a few lines each, and the fixtures. Imports neither torch nor transformers."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from aes_audit.errors import UsageError
from aes_audit.option_table import add_options
from aes_audit.options import RUN_KEY
from aes_audit.planning import Case
from aes_audit.report.junit import properties
from aes_audit.run import MEASURED, AuditRun
from aes_audit.workers import auto_workers

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

    from aes_audit.audit import Audit
    from aes_audit.evidence.table import Evidence
    from aes_audit.generators.protocol import Generator as ImageGenerator
    from aes_audit.judges.protocol import DimensionJudge
    from aes_audit.live.session import LiveSession
    from aes_audit.report.results import Entry
    from aes_audit.rewards.protocol import Reward
    from aes_audit.session import AuditSession

__all__: list[str] = []

RUN = pytest.StashKey[AuditRun]()
ENTRIES = pytest.StashKey[list[str]]()

_MARKUP = {
    "error": {"red": True, "bold": True},
    "fail": {"red": True},
    "inconclusive": {"yellow": True},
    "pass": {"green": True},
}
"""How pytest's own terminal writer shows a line, where the terminal has colours."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options; pytest calls this before it reads the command line."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Read the options; a typo in what was named ends the run here, before anything is collected."""
    config.addinivalue_line("markers", "audit(metric): measure this metric for every subject of the run")
    try:
        run = AuditRun(config)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[RUN] = run
    config.pluginmanager.register(run, "aes_audit_run")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what is audited, where and with what."""
    return config.stash[RUN].header()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per case for the `audit` marker; one per subject where a fixture stands for several."""
    marker = metafunc.definition.get_closest_marker("audit")
    if marker and "audit" in metafunc.fixturenames:
        cases = [case for case in _session(metafunc.config).cases if case.metric == marker.args[0]]
        nothing = pytest.mark.skip(reason=f"no subject or no scores for {marker.args[0]} in this run")
        params: Sequence[Any] = cases or [pytest.param(None, id="nothing to audit", marks=nothing)]
        metafunc.parametrize("audit", params, indirect=True, ids=lambda case: case.id if case else None)
    for fixture in ("generator", "reward"):
        if _is_ours(metafunc, fixture) and len(names := _subjects(metafunc.config, fixture)) > 1:
            metafunc.parametrize(fixture, names, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the cases of one subject on one xdist worker, so that its model is loaded once."""
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec"):
            case = item.callspec.params.get("audit")
            if isinstance(case, Case):
                item.add_marker(pytest.mark.xdist_group(case.worker))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Distribute by subject where audits run; plain `-n` would scatter each over all workers."""
    if config.getoption("dist") != "load" or not config.stash[RUN].opened:
        return None
    from aes_audit.scheduling import SubjectScheduling

    return SubjectScheduling(config, log, _session(config).cases)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Say what `-n auto` means where audits run on accelerators: one worker per device."""
    return auto_workers(config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: Sequence[Any]) -> None:
    """Give each worker on this machine its device and its share of the processor."""
    here = [spec for spec in specs if spec.popen]
    if workers := config.stash[RUN].workers(len(here)):
        workers.equip(here)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist which run it belongs to."""
    node.workerinput[RUN_KEY] = node.config.stash[RUN].config.run


def pytest_collection_finish(session: pytest.Session) -> None:
    """Remember which cases were selected."""
    session.config.stash[RUN].select(session.items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Send what a test measured along with its report, which workers of xdist hand to the controller."""
    report = yield
    if call.when == "call" and (measured := item.stash.get(ENTRIES, None)):
        setattr(report, MEASURED, measured)
        del item.stash[ENTRIES]
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int | pytest.ExitCode) -> None:
    """Write the results file and the report, also when audits failed or the run was interrupted."""
    run = session.config.stash[RUN]
    try:
        if not run.finish(interrupted=exitstatus == pytest.ExitCode.INTERRUPTED):
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
    except KeyboardInterrupt:
        run.give_up()
        session.exitstatus = pytest.ExitCode.INTERRUPTED


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what the run has started, however it ended."""
    if run := config.stash.get(RUN, None):
        run.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the verdict table after pytest's own summary."""
    # A log is as wide as its lines; only a terminal breaks them.
    width = config.get_terminal_writer().fullwidth if terminalreporter.isatty else None
    lines = list(config.stash[RUN].summary(width))
    if lines:
        terminalreporter.write_sep("=", "audit")
    for line in lines:
        terminalreporter.write_line(line.text, **_MARKUP.get(line.verdict or "", {}))


@pytest.fixture
def audit(request: pytest.FixtureRequest, snapshot: SnapshotAssertion) -> Audit:
    """The case that a test marked `audit(metric)` checks."""
    from aes_audit.audit import Audit
    from aes_audit.gates.baselines import audit_name, baseline_extension

    session = _session(request.config)
    run = request.config.stash[RUN]
    return Audit(
        session=session,
        case=request.param,
        name=audit_name(request.path),
        record=_recorder(request.node),
        snapshot=snapshot.use_extension(baseline_extension(session.config.baselines)),
        repeats=(lambda: run.repeats) if session.config.calibrate else None,
    )


@pytest.fixture(scope="session")
def evidence(request: pytest.FixtureRequest) -> Evidence:
    """The evidence table of every generator of this run."""
    session = _session(request.config)
    return session.evidence(session.subjects.generators)


@pytest.fixture(scope="session")
def generator(request: pytest.FixtureRequest) -> ImageGenerator:
    """The generator under audit, loaded; tests repeat for each where several are."""
    name = getattr(request, "param", None) or _subjects(request.config, "generator")[0]
    return _live(request.config).generators[name].load()


@pytest.fixture(scope="session")
def reward(request: pytest.FixtureRequest) -> Reward:
    """The reward under audit, loaded; tests repeat for each where several are."""
    name = getattr(request, "param", None) or _subjects(request.config, "reward")[0]
    return _live(request.config).rewards[name].load()


@pytest.fixture(scope="session")
def judge(request: pytest.FixtureRequest) -> DimensionJudge:
    """The profile's dimension judge, loaded."""
    return _live(request.config).judge.load()


def _is_ours(metafunc: pytest.Metafunc, fixture: str) -> bool:
    """Whether a test's fixture of this name is the plugin's and not one that the test suite defines itself."""
    # pytest has no public way to ask; where this one is gone, the fixtures stand for the first subject.
    definitions = getattr(metafunc, "_arg2fixturedefs", {}).get(fixture, ())
    return any(definition.func.__module__ == __name__ for definition in definitions[-1:])


def _session(config: pytest.Config) -> AuditSession:
    try:
        return config.stash[RUN].session
    except UsageError as error:
        pytest.exit(str(error), returncode=int(pytest.ExitCode.USAGE_ERROR))


def _live(config: pytest.Config) -> LiveSession:
    from aes_audit.live.session import LiveSession

    session = _session(config)
    if not isinstance(session, LiveSession):
        pytest.skip("recorded evidence is judged in this run: no model is loaded")
    return session


def _subjects(config: pytest.Config, fixture: str) -> tuple[str, ...]:
    """Names of the subjects behind a fixture: those under audit, else the profile's."""
    session = _session(config)
    if fixture == "generator":
        return session.subjects.models or session.profile.models
    return session.subjects.rewards or session.profile.rewards


def _recorder(node: pytest.Item) -> Callable[[Entry], None]:
    def record(entry: Entry) -> None:
        shown = {**entry, "test": _node_id(node)}
        node.stash.setdefault(ENTRIES, []).append(json.dumps(shown, allow_nan=False))
        node.user_properties.extend(properties(entry))

    return record


def _node_id(node: pytest.Item) -> str:
    """What people type; a worker of xdist has appended the group."""
    group = node.get_closest_marker("xdist_group")
    return node.nodeid.removesuffix(f"@{group.args[0]}") if group else node.nodeid
