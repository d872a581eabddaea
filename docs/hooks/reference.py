"""The pages of the reference, made from the code each time the site is built: they cannot say anything else."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping

from docstrings import module_page
from places import ROOT

from aes_audit.command.main import main
from aes_audit.measures.names import LIVE, METRIC_NEEDS
from aes_audit.measures.registry import METRICS
from aes_audit.option_table import OPTIONS

__all__ = ["MODULES", "REFERENCE", "commands", "help_text"]

MODULES: Mapping[str, tuple[str, ...]] = {
    "aes_audit.plugin": ("audit", "evidence", "generator", "reward", "judge"),
    "aes_audit.errors": (),
    "aes_audit.generators.protocol": (),
    "aes_audit.rewards.protocol": ("Answer", "Reward", "DetailedReward", "ResolvedReward"),
    "aes_audit.judges.protocol": (),
    "aes_audit.evidence.schema": (),
    "aes_audit.evidence.table": (),
    "aes_audit.evidence.reading": (),
    "aes_audit.measures.measurement": (),
    "aes_audit.measures.registry": ("measure",),
    "aes_audit.measures.metric": (),
}
"""What others build on, and which of its names; none stands for all public ones."""


def _options() -> str:
    lines = [
        "# Options",
        "",
        "Of `pytest`, beside its own. Each has a twin of the same meaning in pytest's configuration (`pytest.ini`, "
        "`[tool.pytest.ini_options]`, ...), except where the second column says none: those are decided in every run. "
        "What is typed wins.",
        "",
    ]
    for option in OPTIONS:
        twin = f"`{option.dest}`" if option.ini else "none"
        rows = [("ini", twin), ("default", f"`{option.default}`" if option.default else "none")]
        if option.repeatable:
            rows.append(("several", "yes"))
        if option.bare is not None:
            rows.append(("alone", f"means `{option.flag}={option.bare}`"))
        text = option.help[0].upper() + option.help[1:]
        shown = f"{option.flag}={option.metavar}" if option.metavar else option.flag
        lines += [f"## {option.flag}", "", f"`{shown}`: {_escaped(text)}.", ""]
        lines += [f"- {name}: {value}" for name, value in rows]
        lines.append("")
    return "\n".join(lines)


def _metrics() -> str:
    lines = [
        "# Metrics",
        "",
        "One row each, by its name in the results file and in `@pytest.mark.audit(NAME)`. *Bad* is the side of the "
        "estimate that is worse; the unit `score` is the scorer's own. Metrics of sets that are not *live* are "
        "measured on [recorded tables](../evidence.md). How they are computed: [methods](../methods.md).",
        "",
        "| metric | question | set | live | reads | bad | unit | about |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for metric in METRICS.values():
        needs = METRIC_NEEDS[metric.name]
        about = "scorer" if needs.of_scorer else "aligned against base" if needs.paired else "model"
        also = " and a truth" if needs.truth else ", the judge's sum" if needs.also_judge else ""
        reads = f"{needs.scorer}{also}"
        live = "yes" if metric.name in LIVE else "no"
        cells = (f"`{metric.name}`", metric.question, f"`{metric.set}`", live, reads, metric.bad, metric.unit, about)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def commands(path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command of `aes-audit`, found by reading the help of the one above it."""
    text = help_text(path)
    named = re.findall(rf"`{' '.join(('aes-audit', *path))} ([a-z-]+) --help`", text)
    choices = re.match(r"usage: .* ([a-z-]+(?:\|[a-z-]+)+) \.\.\.", text)
    for name in named or (choices[1].split("|") if choices else ()):
        yield (*path, name)
        yield from commands((*path, name))


def help_text(path: tuple[str, ...]) -> str:
    """What `aes-audit ... --help` prints."""
    printed = io.StringIO()
    width, os.environ["COLUMNS"] = os.environ.get("COLUMNS"), "100"
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            main([*path, "--help"])
    finally:
        del os.environ["COLUMNS"]
        if width is not None:
            os.environ["COLUMNS"] = width
    return printed.getvalue()


def _commands() -> str:
    exits = "0 done, 1 nothing could be done or a check found faults, 2 the call or its input is wrong, 130 interrupted"
    lines = ["# Commands", "", f"`aes-audit` beside pytest. Exit codes: {exits}."]
    for path in commands():
        lines += ["", f"## aes-audit {' '.join(path)}", "", "```text", help_text(path).rstrip(), "```"]
    return "\n".join([*lines, ""])


def _python() -> str:
    about = "What rewards, generators and judges of your own follow, and what audits and programs read."
    files = ((ROOT / "src" / f"{name.replace('.', '/')}.py", name, only) for name, only in MODULES.items())
    return "\n".join(["# Python", "", about, "", *(module_page(*file) for file in files)])


def _escaped(text: str) -> str:
    """Prose whose stars, underscores and brackets are meant."""
    return re.sub(r"([*_<\[])", r"\\\1", text)


REFERENCE: Mapping[str, Callable[[], str]] = {
    "options": _options,
    "metrics": _metrics,
    "commands": _commands,
    "python": _python,
}
"""Each page of the reference by its name under `reference/`."""
