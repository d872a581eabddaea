"""Every option of the suite: its flag, its ini twin, its default and its help, as data. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from aes_audit.evidence.engines.spec import EngineSpec, parse_engine
from aes_audit.option_values import PINNED, RepeatPlan, choice, pinned, positive, reason, repeats, us_dollars

__all__ = ["OPTIONS", "OPTION_FLAGS", "Option", "add_options"]

POLICIES = ("fail", "warn", "skip")
EARLY_STOPS = ("curtail", "anytime", "off")
MISMATCHES = ("compare", "warn", "error")
HEALTH = ("check", "off")
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True, slots=True)
class Option:
    """One option and its ini twin."""

    flag: str
    metavar: str
    """Empty for a switch, which takes no value."""
    default: str
    """Shown in the help; the value when neither flag nor ini key is given ("" stands for none)."""
    help: str
    parse: Callable[[str], str | int | float | RepeatPlan | EngineSpec] = str
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


OPTIONS = (
    Option(
        "--model",
        "SPEC",
        "",
        "generator to audit: a name (flux-dev, control/NAME, ...), a folder, owner/name[@revision], gemini:MODEL, "
        "openai:MODEL or module:factory; append +lora=, +transformer= or +negative= (docs/generators.md)",
        repeatable=True,
    ),
    Option("--base-model", "SPEC", "", "generator to compare the audited ones with, item by item"),
    Option("--reward", "NAME", "", "reward model to audit: NAME, NAME@revision or NAME=PATH", repeatable=True),
    Option(
        "--judge", "SPEC", "", "preference judge besides the profile's: NAME or openai:MODEL[@URL]", repeatable=True
    ),
    Option("--profile", "NAME", "control", "instruments, number of pairs and thresholds to use"),
    Option("--evidence", "PATH", "", "judge this recorded evidence (Parquet, CSV or a folder) and run no model"),
    Option(
        "--engine",
        "NAME",
        "local",
        "who draws and scores: local, ray, or ray[OPTION=VALUE,...] with any of address=HOST:PORT, actors=N, gpus=N, "
        "reward_gpus=N and cpus=N (docs/ray.md)",
        parse_engine,
    ),
    Option("--audit-json", "FILE", "", "write the results file here, also when audits fail"),
    Option(
        "--audit-report",
        "DIR",
        "",
        "write a run folder here, also when audits fail: a page with plots and pairs, the results file, the evidence",
    ),
    Option(
        "--audit-store",
        "STORE",
        ".aes_audit",
        "where images and scores are kept between runs: a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX",
    ),
    Option(
        "--audit-inconclusive",
        "POLICY",
        "fail",
        "what an inconclusive verdict does to the build: " + ", ".join(POLICIES),
        choice(*POLICIES),
    ),
    Option(
        "--audit-early-stop",
        "RULE",
        "curtail",
        "stop making images once verdicts are settled: curtail (the full run's verdict), anytime (sooner, at the same "
        "error level), off",
        choice(*EARLY_STOPS),
    ),
    Option(
        "--audit-health",
        "RULE",
        "check",
        "whether a reward must order known cases (a clean picture above a black frame and noise, pictures with their "
        "own captions) before it gates anything: " + ", ".join(HEALTH),
        choice(*HEALTH),
    ),
    Option(
        "--audit-require-pinned",
        "RULE",
        "off",
        "refuse models and instruments of the hub whose revision may change, saying what to write instead: "
        + ", ".join(PINNED),
        pinned,
        bare="on",
    ),
    Option("--audit-thresholds", "FILE", "audits/thresholds.toml", "profiles and gates"),
    Option("--audit-baselines", "DIR", "baselines", "blessed measurements of earlier releases"),
    Option(
        "--audit-bless",
        "REASON",
        "",
        "with --snapshot-update: make the measurements of this run the baselines, for this reason",
        reason,
        ini=False,
    ),
    Option(
        "--audit-calibrate",
        "MODE:R",
        "",
        "with --audit-bless: repeat each audit R times (rescore:R fresh scores, regenerate:R new seeds) and "
        "bless the mean with the noise seen as the tolerance",
        repeats,
        ini=False,
    ),
    Option(
        "--audit-baseline-mismatch",
        "POLICY",
        "compare",
        "what a baseline of other hardware or library versions means: " + ", ".join(MISMATCHES),
        choice(*MISMATCHES),
    ),
    Option(
        "--audit-budget",
        "USD",
        "",
        "what this run may spend on hosted models; what it cannot pay is inconclusive (default: no limit)",
        us_dollars,
    ),
    Option(
        "--audit-plan",
        "",
        "",
        "say what the run would do (images, scores, time, bytes, money; what the store has already), and do nothing",
        ini=False,
    ),
    Option("--audit-device", "NAME", "auto", "where models run: " + ", ".join(DEVICES), choice(*DEVICES)),
    Option("--audit-batch-size", "N", "", "images per generator call (default: the model's own setting)", positive),
    Option("--audit-pairs", "N", "", "number of prompt pairs (default: the profile's)", positive),
    Option("--art", "SET", "", "artworks for rewards (docs/art.md): a folder, hub:OWNER/NAME, or control_compositions"),
    Option(
        "--emotion",
        "SET",
        "",
        "faces in four emotions for rewards (docs/emotion.md): a folder, control_faces, edited:SPEC",
    ),
    Option("--photographs", "DIR", "", "photographs that rewards hold against clean counterparts (docs/art.md)"),
    Option("--audit-edit-source", "SPEC", "", "generator whose wide images are edited (default: the profile's)"),
)

OPTION_FLAGS = tuple(option.flag for option in OPTIONS)
"""Every option, as typed."""


def add_options(parser: pytest.Parser) -> None:
    """Declare every option with its ini twin."""
    group = parser.getgroup("aes_audit", "aesthetic over-alignment audits")
    for option in OPTIONS:
        if not option.metavar:
            group.addoption(option.flag, dest=option.dest, action="store_true", default=None, help=option.help)
            continue
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
