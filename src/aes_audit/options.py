"""The command line and its ini twins, parsed once into one frozen AuditConfig. Imports no torch."""

from __future__ import annotations

import argparse
import math
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from aes_audit.errors import UsageError
from aes_audit.resources import packaged_thresholds

__all__ = ["BUILT_IN_ART", "OPTION_FLAGS", "RUN_KEY", "AuditConfig", "RepeatPlan", "add_options", "read_config"]

ENGINES = ("local",)
POLICIES = ("fail", "warn", "skip")
EARLY_STOPS = ("curtail", "anytime", "off")
MISMATCHES = ("compare", "warn", "error")
REPEATS = ("rescore", "regenerate")
HEALTH = ("check", "off")
PINNED = ("on", "off")
DEVICES = ("auto", "cpu", "cuda", "mps")

BUILT_IN_ART = "control_compositions"
"""What --art calls the drawn compositions; anything else is a folder."""

RUN_KEY = "aes_audit_run"
"""Under which a worker of xdist is told the name of the run it belongs to."""


class RepeatPlan(NamedTuple):
    """How --audit-calibrate repeats an audit."""

    mode: str
    """`rescore`: the same images, fresh scores; `regenerate`: new seeds."""
    runs: int
    """Number of repeats, at least two."""


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """Everything a run was asked for, before any of it is looked up."""

    models: tuple[str, ...]
    """Generators under audit (SPEC strings); empty means the profile's."""
    base_model: str | None
    """What the generators are compared with, item by item."""
    rewards: tuple[str, ...]
    """Reward models under audit."""
    judges: tuple[str, ...]
    """Preference judges asked besides the profile's."""
    profile: str
    """Name of the profile in the thresholds file."""
    evidence: Path | None
    """Recorded evidence to judge; then no model is run."""
    engine: str
    """Who runs the stages."""
    json_path: Path | None
    """Where to write the results file."""
    store: Path
    """Root of the content-addressed store."""
    inconclusive: str
    """Policy for verdicts that could be either: fail, warn or skip."""
    early_stop: str
    """Whether images are made after their verdicts are settled: curtail, anytime or off."""
    thresholds: Path
    """The thresholds file."""
    baselines: Path
    """Folder of the blessed baselines."""
    device: str
    """Where models run: auto, cpu, cuda or mps."""
    batch_size: int | None
    """Images per generator call; None takes the model's own setting."""
    pairs: int | None
    """Number of prompt pairs; None takes the profile's."""
    rootdir: Path
    """pytest's root, which relative paths refer to."""
    bless: str | None = None
    """Why the measurements of this run become baselines; None blesses nothing."""
    calibrate: RepeatPlan | None = None
    """How often to repeat each audit before it is blessed."""
    health: str = "check"
    """Whether rewards must order known cases before they gate anything: check or off."""
    mismatch: str = "compare"
    """Policy for baselines of other hardware or library versions: compare, warn or error."""
    art: str | None = None
    """Artworks that rewards are shown: a folder or a built-in set; None takes the profile's."""
    photographs: Path | None = None
    """Photographs beside clean counterparts that rewards choose between; None for none."""
    edit_source: str | None = None
    """Generator whose wide images are edited; None takes the profile's."""
    budget: float | None = None
    """US dollars that calls to hosted models may cost in this run; None for no limit."""
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Names this run, in all its processes: they share one budget."""
    require_pinned: str = "off"
    """Whether revisions that may change are refused: on or off."""
    command: tuple[str, ...] = ()
    """The arguments of this pytest run, for the provenance of a baseline."""

    @property
    def names_subjects(self) -> bool:
        """Whether the user chose what to audit."""
        return bool(self.models or self.rewards or self.base_model or self.evidence)


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: give a whole number of 1 or more")
    return value


def _dollars(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: give US dollars, for instance 5 or 2.50")
    return value


def _reason(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: say in a few words why the numbers changed")
    return " ".join(text.split())


def _repeats(text: str) -> RepeatPlan:
    mode, _, runs = text.partition(":")
    if mode not in REPEATS or not runs.isdecimal() or int(runs) < 2:
        raise argparse.ArgumentTypeError(
            f"invalid value {text!r}: give {' or '.join(f'{name}:R' for name in REPEATS)}, "
            "R the number of repeats, 2 or more (5 or more are recommended)"
        )
    return RepeatPlan(mode, int(runs))


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise argparse.ArgumentTypeError(f"invalid value {text!r}: choose {', '.join(allowed)}")
        return text

    return parse


def _pinned(text: str) -> str:
    if text not in PINNED:
        # The flag alone takes what follows for its value, and what follows may be the path of the audits.
        raise argparse.ArgumentTypeError(
            f"invalid value {text!r}: choose {', '.join(PINNED)}; before a path write --audit-require-pinned=on"
        )
    return text


@dataclass(frozen=True, slots=True)
class _Option:
    flag: str
    metavar: str
    default: str
    """Shown in the help; the value when neither flag nor ini key is given ("" stands for none)."""
    help: str
    parse: Callable[[str], str | int | float | RepeatPlan] = str
    repeatable: bool = False
    bare: str | None = None
    """The value of the flag alone; None asks for one."""
    ini: bool = True
    """False for what must be decided anew in every run."""

    @property
    def dest(self) -> str:
        """Name of the parsed value, and of the ini twin."""
        name = self.flag.removeprefix("--").replace("-", "_")
        return name if name.startswith("audit_") else f"audit_{name}"


_OPTIONS = (
    _Option(
        "--model",
        "SPEC",
        "",
        "generator to audit: a name (flux-dev, control/NAME, ...), a folder, owner/name[@revision], gemini:MODEL, "
        "openai:MODEL or module:factory; append +lora=, +transformer= or +negative= (docs/generators.md)",
        repeatable=True,
    ),
    _Option("--base-model", "SPEC", "", "generator to compare the audited ones with, item by item"),
    _Option("--reward", "NAME", "", "reward model to audit: NAME, NAME@revision or NAME=PATH", repeatable=True),
    _Option(
        "--judge", "SPEC", "", "preference judge besides the profile's: NAME or openai:MODEL[@URL]", repeatable=True
    ),
    _Option("--profile", "NAME", "control", "instruments, number of pairs and thresholds to use"),
    _Option("--evidence", "PATH", "", "judge this recorded evidence (Parquet, CSV or a folder) and run no model"),
    _Option("--engine", "NAME", "local", "who runs the stages: " + ", ".join(ENGINES), _choice(*ENGINES)),
    _Option("--audit-json", "FILE", "", "write the results file here, also when audits fail"),
    _Option("--audit-store", "DIR", ".aes_audit", "where images and scores are kept between runs"),
    _Option(
        "--audit-inconclusive",
        "POLICY",
        "fail",
        "what an inconclusive verdict does to the build: " + ", ".join(POLICIES),
        _choice(*POLICIES),
    ),
    _Option(
        "--audit-early-stop",
        "RULE",
        "curtail",
        "stop making images once verdicts are settled: curtail (the full run's verdict), anytime (sooner, at the same "
        "error level), off",
        _choice(*EARLY_STOPS),
    ),
    _Option(
        "--audit-health",
        "RULE",
        "check",
        "whether a reward must order known cases (a clean picture above a black frame and noise, pictures with their "
        "own captions) before it gates anything: " + ", ".join(HEALTH),
        _choice(*HEALTH),
    ),
    _Option(
        "--audit-require-pinned",
        "RULE",
        "off",
        "refuse models and instruments of the hub whose revision may change, saying what to write instead: "
        + ", ".join(PINNED),
        _pinned,
        bare="on",
    ),
    _Option("--audit-thresholds", "FILE", "audits/thresholds.toml", "profiles and gates"),
    _Option("--audit-baselines", "DIR", "baselines", "blessed measurements of earlier releases"),
    _Option(
        "--audit-bless",
        "REASON",
        "",
        "with --snapshot-update: make the measurements of this run the baselines, for this reason",
        _reason,
        ini=False,
    ),
    _Option(
        "--audit-calibrate",
        "MODE:R",
        "",
        "with --audit-bless: repeat each audit R times (rescore:R fresh scores, regenerate:R new seeds) and "
        "bless the mean with the noise seen as the tolerance",
        _repeats,
        ini=False,
    ),
    _Option(
        "--audit-baseline-mismatch",
        "POLICY",
        "compare",
        "what a baseline of other hardware or library versions means: " + ", ".join(MISMATCHES),
        _choice(*MISMATCHES),
    ),
    _Option(
        "--audit-budget",
        "USD",
        "",
        "what this run may spend on hosted models; what it cannot pay is inconclusive (default: no limit)",
        _dollars,
    ),
    _Option("--audit-device", "NAME", "auto", "where models run: " + ", ".join(DEVICES), _choice(*DEVICES)),
    _Option("--audit-batch-size", "N", "", "images per generator call (default: the model's own setting)", _positive),
    _Option("--audit-pairs", "N", "", "number of prompt pairs (default: the profile's)", _positive),
    _Option("--art", "DIR", "", "artworks that rewards are shown (docs/art.md): a folder, or control_compositions"),
    _Option("--photographs", "DIR", "", "photographs that rewards hold against clean counterparts (docs/art.md)"),
    _Option("--audit-edit-source", "SPEC", "", "generator whose wide images are edited (default: the profile's)"),
)

OPTION_FLAGS = tuple(option.flag for option in _OPTIONS)
"""Every option, as typed."""


def add_options(parser: pytest.Parser) -> None:
    """Declare every option with its ini twin."""
    group = parser.getgroup("aes_audit", "aesthetic over-alignment audits")
    for option in _OPTIONS:
        default = f" (default: {option.default})" if option.default else ""
        group.addoption(
            option.flag,
            dest=option.dest,
            metavar=option.metavar,
            default=None,
            type=option.parse,
            action="append" if option.repeatable else "store",
            **({} if option.bare is None else {"nargs": "?", "const": option.bare}),
            help=f"{option.help}{default}" + (f"; ini: {option.dest}" if option.ini else ""),
        )
        if not option.ini:
            continue
        if option.repeatable:
            parser.addini(option.dest, help=f"same as {option.flag}", type="args", default=[])
        else:
            parser.addini(option.dest, help=f"same as {option.flag}", type="string", default=option.default)


def read_config(config: pytest.Config) -> AuditConfig:
    """One frozen configuration from command line and ini file; raises UsageError for a bad ini value."""
    value = {option.dest: _value(config, option) for option in _OPTIONS}
    _refuse_half_a_blessing(config, value)

    def path(key: str) -> Path:
        # What was typed is relative to where it was typed, an ini value to the root.
        base = config.rootpath if config.getoption(key) is None else config.invocation_params.dir
        return base / Path(value[key]).expanduser()

    return AuditConfig(
        models=tuple(value["audit_model"]),
        base_model=value["audit_base_model"] or None,
        rewards=tuple(value["audit_reward"]),
        judges=tuple(value["audit_judge"]),
        profile=value["audit_profile"],
        evidence=path("audit_evidence") if value["audit_evidence"] else None,
        engine=value["audit_engine"],
        json_path=path("audit_json") if value["audit_json"] else None,
        store=path("audit_store"),
        inconclusive=value["audit_inconclusive"],
        early_stop=_early_stop(config, value),
        thresholds=_thresholds(config, path("audit_thresholds")),
        baselines=path("audit_baselines"),
        device=value["audit_device"],
        batch_size=value["audit_batch_size"] or None,
        pairs=value["audit_pairs"] or None,
        rootdir=config.rootpath,
        bless=value["audit_bless"],
        calibrate=value["audit_calibrate"],
        health=value["audit_health"],
        mismatch=value["audit_baseline_mismatch"],
        art=str(path("audit_art"))
        if value["audit_art"] not in ("", None, BUILT_IN_ART)
        else value["audit_art"] or None,
        photographs=path("audit_photographs") if value["audit_photographs"] else None,
        edit_source=value["audit_edit_source"] or None,
        require_pinned=value["audit_require_pinned"],
        budget=None if value["audit_budget"] in (None, "") else value["audit_budget"],
        run=_run(config),
        command=_command(config),
    )


def _value(config: pytest.Config, option: _Option) -> Any:
    typed = config.getoption(option.dest)
    if typed is not None or not option.ini:
        return typed
    raw = config.getini(option.dest)
    if not raw or option.repeatable:
        return raw
    try:
        return option.parse(raw)
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"ini key {option.dest}: {error}.") from error


def _refuse_half_a_blessing(config: pytest.Config, value: Mapping[str, Any]) -> None:
    writes = config.getoption("update_snapshots", False) or config.getoption("update_new_snapshots_only", False)
    if value["audit_bless"] and not writes:
        raise UsageError("--audit-bless blesses nothing without --snapshot-update.")
    if value["audit_calibrate"] and not value["audit_bless"]:
        raise UsageError('--audit-calibrate writes baselines: add --snapshot-update --audit-bless "reason".')
    if value["audit_calibrate"] and value["audit_evidence"]:
        raise UsageError("--audit-calibrate runs the models again, which recorded evidence has not: drop --evidence.")


def _early_stop(config: pytest.Config, value: Mapping[str, Any]) -> str:
    # Only a whole run can be blessed; who typed a rule all the same is told so by the refusals.
    chosen = config.getoption("audit_early_stop") is not None or not value["audit_bless"]
    return str(value["audit_early_stop"]) if chosen else "off"


def _run(config: pytest.Config) -> str:
    """A name of its own for every run; a worker of xdist is told its controller's."""
    return str(getattr(config, "workerinput", {}).get(RUN_KEY, uuid.uuid4().hex))


def _command(config: pytest.Config) -> tuple[str, ...]:
    """What was typed; a worker of xdist knows it from its controller."""
    worker = getattr(config, "workerinput", None)
    return tuple(map(str, worker["mainargv"][1:] if worker else config.invocation_params.args))


def _thresholds(config: pytest.Config, wanted: Path) -> Path:
    # A repository without thresholds of its own is judged by the packaged ones; a named file must exist.
    named = config.getoption("audit_thresholds") or config.getini("audit_thresholds") != "audits/thresholds.toml"
    return wanted if named or wanted.is_file() else packaged_thresholds()
