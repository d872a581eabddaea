"""What a run was asked for: command line and ini twins, parsed once into one frozen AuditConfig. Imports no torch."""

from __future__ import annotations

import argparse
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aes_audit.errors import UsageError
from aes_audit.evidence.batches import WHOLE, Part
from aes_audit.evidence.engines.spec import EngineSpec
from aes_audit.evidence.storage.address import checked_address, is_url
from aes_audit.option_table import OPTIONS, Option
from aes_audit.option_values import RepeatPlan
from aes_audit.resources import packaged_thresholds

__all__ = [
    "BUILT_IN_ART",
    "BUILT_IN_FACES",
    "EDITED_FACES",
    "HUB_ART",
    "RUN_KEY",
    "AuditConfig",
    "collecting_config",
    "names_audits",
    "read_config",
]

THRESHOLDS = "audits/thresholds.toml"

BUILT_IN_ART = "control_compositions"
"""What --art calls the drawn compositions; anything else is a folder or a data set."""

HUB_ART = "hub:"
"""What the name of a data set of the hub begins with."""

BUILT_IN_FACES = "control_faces"
"""What --emotion calls the drawn faces."""

EDITED_FACES = "edited:"
"""What --emotion begins with where a model draws the faces and edits them; anything else is a folder."""

RUN_KEY = "aes_audit_run"
"""Under which a worker of xdist is told the name of the run it belongs to."""


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
    engine: EngineSpec
    """Who draws and scores."""
    json_path: Path | None
    """Where to write the results file."""
    store: str
    """Address of the content-addressed store: a folder or a URL."""
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
    emotion: str | None = None
    """Faces in four emotions for rewards: a folder, a built-in set or an editor; None takes the profile's."""
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
    report_path: Path | None = None
    """Where to write the run folder."""
    plan: bool = False
    """Whether to say what the run would do instead of doing it."""
    part: Part = WHOLE
    """The part of every plan that is collected; only the whole can be judged."""
    command: tuple[str, ...] = ()
    """The arguments of this pytest run, for the provenance of a baseline."""

    @property
    def names_subjects(self) -> bool:
        """Whether the user chose what to audit."""
        return bool(self.models or self.rewards or self.base_model or self.evidence)


def read_config(config: pytest.Config) -> AuditConfig:
    """One frozen configuration from command line and ini file; raises UsageError for a bad ini value."""
    value = {option.dest: _value(config, option) for option in OPTIONS}
    _refuse_half_a_blessing(config, value)
    _refuse_half_a_plan(config, value)

    def path(key: str) -> Path:
        # What was typed is relative to where it was typed, an ini value to the root.
        base = config.rootpath if config.getoption(key) is None else config.invocation_params.dir
        return base / Path(value[key]).expanduser()

    return AuditConfig(
        **_named(value, path),
        evidence=path("audit_evidence") if value["audit_evidence"] else None,
        json_path=path("audit_json") if value["audit_json"] else None,
        report_path=path("audit_report") if value["audit_report"] else None,
        early_stop=_early_stop(config, value),
        thresholds=_thresholds(path("audit_thresholds"), _named_thresholds(config)),
        rootdir=config.rootpath,
        bless=value["audit_bless"],
        calibrate=value["audit_calibrate"],
        mismatch=value["audit_baseline_mismatch"],
        budget=None if value["audit_budget"] in (None, "") else value["audit_budget"],
        plan=bool(value["audit_plan"]),
        run=_run(config),
        command=_command(config),
    )


def names_audits(config: pytest.Config) -> bool:
    """Whether the command line, and not only the ini file, is about audits."""
    paths = [Path(argument.split("::")[0]) for argument in config.args]
    typed = (config.getoption(f"audit_{name}") for name in ("model", "base_model", "reward", "judge", "evidence"))
    return any("audits" in path.parts for path in paths) or any(typed)


def _named(value: Mapping[str, Any], path: Callable[[str], Path]) -> dict[str, Any]:
    """What is measured, with what and where it is kept: the fields that the suite and `aes-audit collect` share."""
    return {
        "models": tuple(value["audit_model"]),
        "base_model": value["audit_base_model"] or None,
        "rewards": tuple(value["audit_reward"]),
        "judges": tuple(value["audit_judge"]),
        "profile": value["audit_profile"],
        "engine": value["audit_engine"],
        "store": _store(value["audit_store"], path),
        "inconclusive": value["audit_inconclusive"],
        "baselines": path("audit_baselines"),
        "device": value["audit_device"],
        "batch_size": value["audit_batch_size"] or None,
        "pairs": value["audit_pairs"] or None,
        "health": value["audit_health"],
        "art": _art(value["audit_art"], path),
        "emotion": _emotion(value["audit_emotion"], path),
        "photographs": path("audit_photographs") if value["audit_photographs"] else None,
        "edit_source": value["audit_edit_source"] or None,
        "require_pinned": value["audit_require_pinned"],
    }


def _value(config: pytest.Config, option: Option) -> Any:
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


def _refuse_half_a_plan(config: pytest.Config, value: Mapping[str, Any]) -> None:
    if not value["audit_plan"]:
        return
    if value["audit_evidence"]:
        raise UsageError("--audit-plan: recorded evidence asks for no model; drop --evidence, or --audit-plan.")
    if config.getoption("update_snapshots", False) or config.getoption("update_new_snapshots_only", False):
        raise UsageError("--audit-plan measures nothing that could become a baseline: drop --snapshot-update.")


def _store(address: str, path: Callable[[str], Path]) -> str:
    # A variable that is not set is an empty name, which would be the working directory.
    checked = checked_address(address)
    return checked if is_url(address) else str(path("audit_store"))


def _art(named: str | None, path: Callable[[str], Path]) -> str | None:
    if not named:
        return None
    # Everything but a name is a folder, which is relative to where it was typed.
    return named if named == BUILT_IN_ART or named.startswith(HUB_ART) else str(path("audit_art"))


def _emotion(named: str | None, path: Callable[[str], Path]) -> str | None:
    if not named:
        return None
    return named if named == BUILT_IN_FACES or named.startswith(EDITED_FACES) else str(path("audit_emotion"))


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


def _named_thresholds(config: pytest.Config) -> bool:
    typed = config.getoption("audit_thresholds")
    return bool(typed) or config.getini("audit_thresholds") != THRESHOLDS


def _thresholds(wanted: Path, named: bool) -> Path:
    # A repository without thresholds of its own is judged by the packaged ones; a named file must exist.
    return wanted if named or wanted.is_file() else packaged_thresholds()


def _default(option: Option) -> Any:
    return option.parse(option.default) if option.default else option.default


def collecting_config(typed: Mapping[str, Any], folder: Path, part: Part) -> AuditConfig:
    """What `aes-audit collect` was asked for: parsed values by the option's `dest`, None for what was not typed.

    `folder` is what relative paths refer to. There is no ini file, and nothing is judged.
    """
    value: dict[str, Any] = {option.dest: typed.get(option.dest) for option in OPTIONS}
    value |= {option.dest: _default(option) for option in OPTIONS if value[option.dest] is None}

    def path(key: str) -> Path:
        return folder / Path(value[key]).expanduser()

    return AuditConfig(
        **_named(value, path),
        evidence=None,
        json_path=None,
        early_stop="off",
        thresholds=_thresholds(path("audit_thresholds"), bool(typed.get("audit_thresholds"))),
        rootdir=folder,
        budget=typed.get("audit_budget"),
        part=part,
    )
