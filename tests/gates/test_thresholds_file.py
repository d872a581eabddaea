"""The thresholds file: what it gives, and one line for everything that is wrong with it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes_audit.errors import InvalidThresholds, UnknownName, UsageError
from aes_audit.gates.thresholds import Gate, Thresholds, read_thresholds
from aes_audit.measures.catalogue import METRICS
from aes_audit.measures.names import LIVE, METRIC_NEEDS, PAIRED
from aes_audit.resources import packaged_thresholds

UNPAIRED = METRIC_NEEDS.keys() - PAIRED
PROFILE = {
    "prompts": "control_pairs",
    "pairs": 20,
    "models": ["a"],
    "rewards": ["r"],
    "pool": ["a", "b"],
    "quality": ["q"],
    "matcher": "m",
    "judge": "j",
    "preferences": ["preference/p"],
    "truth": "preference/p",
}
GATE: dict[str, Any] = {"profile": "here", "metric": "success_rate", "at_least": 0.5}
PAIRED_GATE: dict[str, Any] = {"profile": "here", "metric": "realignment_quality", "margin": 0.1}
Document = dict[str, Any]


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return str(value).lower() if isinstance(value, (bool, float)) else repr(value)


def write(path: Path, document: Document) -> Path:
    """A thresholds file of inline tables."""
    path.write_text("\n".join(f"{key} = {toml(value)}" for key, value in document.items()))
    return path


def read(path: Path) -> Thresholds:
    """Read with the metrics that planning knows."""
    return read_thresholds(path, PAIRED, UNPAIRED)


@pytest.fixture
def document() -> Document:
    """A file without a fault."""
    gates = [copy.deepcopy(GATE), copy.deepcopy(PAIRED_GATE)]
    return {"schema": 1, "profiles": {"here": copy.deepcopy(PROFILE)}, "gates": gates}


def test_the_shipped_file_loads_and_gates_every_metric_of_its_profile() -> None:
    thresholds = read(packaged_thresholds())
    profile = thresholds.profile("control")
    assert profile.pairs >= 100, "BCa intervals need so many items"
    gated = {gate.metric for gate in thresholds.gates if gate.profile == "control"}
    assert gated == LIVE - {"preference_agreement"}, "how far two judges agree is for people to read"
    assert all(gate.tolerance is not None for gate in thresholds.gates), "exact baselines would fail on other hardware"


def test_the_shipped_gates_point_away_from_the_bad_side() -> None:
    for gate in read(packaged_thresholds()).gates:
        if gate.metric not in PAIRED and gate.asks:
            bound = "at_most" if METRICS[gate.metric].bad == "up" else "at_least"
            assert getattr(gate, bound) is not None, gate.metric


def test_the_metrics_that_planning_names_exist_and_are_paired_or_not_as_it_says() -> None:
    assert {name for name in LIVE if METRICS[name].paired} == PAIRED
    assert all(METRICS[name].scorer_kind == METRIC_NEEDS[name].scorer for name in LIVE)


def test_a_file_gives_its_profiles_and_gates(tmp_path: Path, document: Document) -> None:
    thresholds = read(write(tmp_path / "t.toml", document))
    profile = thresholds.profile("here")
    assert (profile.name, profile.pairs, profile.pool) == ("here", 20, ("a", "b"))
    assert thresholds.gates == (Gate(**GATE), Gate(**PAIRED_GATE))
    assert isinstance(thresholds.gates[0].at_least, float)


def test_a_whole_number_is_a_number(tmp_path: Path, document: Document) -> None:
    document["gates"] = [{"profile": "here", "metric": "quality_shift", "at_most": -1}]
    (gate,) = read(write(tmp_path / "t.toml", document)).gates
    assert gate.at_most == -1.0
    assert gate.text == "<= -1"


def test_a_gate_of_its_own_comes_before_the_gate_for_every_scorer(tmp_path: Path, document: Document) -> None:
    document["gates"] = [GATE, {**GATE, "scorer": "preference/p", "at_least": 0.9}]
    thresholds = read(write(tmp_path / "t.toml", document))

    def asked(profile: str, metric: str, scorer: str) -> float | None:
        gate = thresholds.gate(profile, metric, scorer)
        return gate.at_least if gate else None

    assert asked("here", "success_rate", "preference/p") == 0.9
    assert asked("here", "success_rate", "preference/other") == 0.5
    assert asked("here", "prefers_wide", "preference/p") is None
    assert asked("elsewhere", "success_rate", "preference/p") is None


def test_an_unknown_profile_is_answered_with_those_that_exist(tmp_path: Path, document: Document) -> None:
    thresholds = read(write(tmp_path / "t.toml", document))
    with pytest.raises(UnknownName, match=r"^unknown profile 'her'\. Did you mean 'here'\? Known: here\.$"):
        thresholds.profile("her")


Change = Callable[[Document], object]
GATE_1 = "gate 1 (success_rate)"
GATE_2 = "gate 2 (realignment_quality)"


def gate(number: int, **keys: object) -> Change:
    """Set keys of a gate."""
    return lambda document: document["gates"][number - 1].update(keys)


def profile(**keys: object) -> Change:
    """Set keys of the profile."""
    return lambda document: document["profiles"]["here"].update(keys)


def top(**keys: object) -> Change:
    """Set keys of the file."""
    return lambda document: document.update(keys)


FAULTS: dict[str, tuple[Change, tuple[str, ...]]] = {
    "unknown key of the file": (top(gate=[]), ("'gate'", "Did you mean 'gates'")),
    "no schema": (lambda document: document.pop("schema"), ("schema must be 1, found None",)),
    "another schema": (top(schema=2), ("schema must be 1, found 2",)),
    "no profiles": (lambda document: document.pop("profiles"), ("declares no [profiles.NAME]",)),
    "profiles is a list": (top(profiles=[1]), ("declares no [profiles.NAME]",)),
    "profile is a number": (lambda document: document["profiles"].update(here=3), ("[profiles.here]", "not a table")),
    "gates is a number": (top(gates=3), ("gates = 3", "[[gates]]")),
    "gates is one table": (top(gates=GATE), ("gates = ", "[[gates]]")),
    "a gate is a number": (top(gates=[3]), ("gate 1", "not a table")),
    "unknown key of a profile": (profile(pair=3), ("[profiles.here]", "'pair'", "Did you mean 'pairs'")),
    "missing key of a profile": (
        lambda document: document["profiles"]["here"].pop("truth"),
        ("[profiles.here]", "'truth' is missing"),
    ),
    "a source but no edits": (profile(edit_source="a"), ("[profiles.here]", "edit_source alone edits nothing")),
    "edits without a source": (profile(edits=3), ("[profiles.here]", "edits alone edits nothing")),
    "another recipe": (profile(recipe="papers"), ("unknown recipe in", "'papers'", "Known: default, paper")),
    "no edits": (profile(edits=0, edit_source="a"), ("edits = 0 is not a whole number of 1 or more",)),
    "pairs is text": (profile(pairs="20"), ("[profiles.here]", "pairs = '20' is not a whole number")),
    "pairs is a yes": (profile(pairs=True), ("pairs = True is not a whole number",)),
    "no pairs": (profile(pairs=0), ("pairs = 0 is not a whole number of 1 or more",)),
    "half a pair": (profile(pairs=1.5), ("pairs = 1.5 is not a whole number",)),
    "models is text": (profile(models="a"), ("[profiles.here]", "models = 'a' is not a list of strings")),
    "models holds a number": (profile(models=["a", 1]), ("models = ['a', 1] is not a list of strings",)),
    "judge is a list": (profile(judge=["a"]), ("judge = ['a'] is not a string",)),
    "unknown key of a gate": (gate(1, atleast=0.5), ("gate 1", "'atleast'", "Did you mean 'at_least'")),
    "gate without metric": (lambda document: document["gates"][0].pop("metric"), ("gate 1", "'metric' is missing")),
    "gate without profile": (lambda document: document["gates"][0].pop("profile"), ("gate 1", "'profile' is missing")),
    "unknown metric": (gate(1, metric="sucess_rate"), ("gate 1", "'sucess_rate'", "Did you mean 'success_rate'")),
    "unknown profile": (gate(1, profile="there"), (GATE_1, "'there'", "Known: here")),
    "unknown kind": (gate(1, kind="strict"), (GATE_1, "unknown kind", "'strict'", "contractual, evidential")),
    "unknown interval": (gate(1, interval="wald"), (GATE_1, "unknown interval", "'wald'", "exact, wilson")),
    "two conditions": (gate(1, at_most=0.9), (GATE_1, "exactly one of at_least, at_most, margin", "'at_most'")),
    "no condition": (lambda document: document["gates"][0].pop("at_least"), (GATE_1, "found none")),
    "margin of a metric of one model": (
        lambda document: document["gates"].insert(0, {**PAIRED_GATE, "metric": "success_rate"}),
        (GATE_1, "needs at_least or at_most"),
    ),
    "no margin of a metric of two": (
        lambda document: document["gates"].insert(1, {**GATE, "metric": "realignment_quality"}),
        (GATE_2, "needs margin"),
    ),
    "margin of nothing": (gate(2, margin=0.0), (GATE_2, "margin = 0 must be above 0")),
    "negative margin": (gate(2, margin=-0.1), (GATE_2, "margin = -0.1 must be above 0")),
    "margin is no number": (gate(2, margin=float("nan")), (GATE_2, "margin = nan is not a number")),
    "bound is infinite": (gate(1, at_least=float("inf")), (GATE_1, "at_least = inf is not a number")),
    "bound is text": (gate(1, at_least="0.5"), (GATE_1, "at_least = '0.5' is not a number")),
    "bound is a yes": (gate(1, at_least=True), (GATE_1, "at_least = True is not a number")),
    "advisory is text": (gate(1, advisory="yes"), (GATE_1, "advisory = 'yes' is not a boolean")),
    "advisory is a number": (gate(1, advisory=1), (GATE_1, "advisory = 1 is not a boolean")),
    "scorer is a list": (gate(1, scorer=["a"]), (GATE_1, "scorer = ['a'] is not a string")),
    "confidence of 95": (gate(1, confidence=95), (GATE_1, "confidence = 95 must lie between 0 and 1")),
    "certainty": (gate(1, confidence=1.0), (GATE_1, "confidence = 1 must lie between 0 and 1")),
    "alpha of nothing": (gate(2, alpha=0.0), (GATE_2, "alpha = 0 must lie between 0 and 1")),
    "all may be missing": (gate(1, max_missing=1.0), (GATE_1, "max_missing = 1 must lie in [0, 1)")),
    "negative max_missing": (gate(1, max_missing=-0.1), (GATE_1, "max_missing = -0.1 must lie in [0, 1)")),
    "negative tolerance": (gate(1, tolerance=-0.1), (GATE_1, "tolerance = -0.1 must be 0 or more")),
    "family of a metric of one model": (gate(1, family="all"), (GATE_1, "family = 'all'")),
    "the same gate twice": (
        lambda document: document["gates"].append(GATE),
        ("two gates for success_rate", "None", "here"),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_that_names_file_gate_and_key(tmp_path: Path, document: Document, fault: str) -> None:
    change, said = FAULTS[fault]
    change(document)
    path = write(tmp_path / "t.toml", document)
    with pytest.raises(UsageError) as raised:
        read(path)
    message = str(raised.value)
    assert "\n" not in message
    assert all(words in message for words in (str(path), *said)), message


@pytest.mark.parametrize("content", [b"schema = ", b"[[gates]\n", b"\xff", b"schema = 1\nschema = 1\n"])
def test_a_file_that_is_not_toml_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.toml"
    path.write_bytes(content)
    with pytest.raises(InvalidThresholds, match=r"^thresholds file .*t\.toml is not TOML: [^\n]+$"):
        read(path)


def test_a_file_that_is_not_there_or_is_a_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidThresholds, match=r"^thresholds file .*t\.toml cannot be read: No such file.*\.$"):
        read(tmp_path / "t.toml")
    with pytest.raises(InvalidThresholds, match=r"^thresholds file .* cannot be read: Is a directory\.$"):
        read(tmp_path)


JUNK = st.recursive(
    st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(["", "here", "success_rate", "margin"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from([*GATE, *PROFILE, "here"]), inner),
    max_leaves=6,
)


@given(data=st.dictionaries(st.sampled_from(["schema", "profiles", "gates"]), JUNK), here=JUNK, gates=st.lists(JUNK))
def test_whatever_a_file_holds_the_answer_is_thresholds_or_a_usage_error(
    tmp_path_factory: pytest.TempPathFactory, data: Document, here: object, gates: list[object]
) -> None:
    document = {"schema": 1, "profiles": {"here": here}, "gates": gates} | data
    path = tmp_path_factory.mktemp("junk") / "t.toml"
    write(path, document)
    said = ""
    try:
        read(path)
    except UsageError as error:
        said = str(error)
    assert "\n" not in said


def test_the_results_file_shows_the_condition_without_what_was_not_set() -> None:
    shown = Gate("here", "success_rate", at_least=0.5, look_at="pairs").threshold
    assert shown["at_least"] == 0.5
    assert not {"at_most", "margin", "look_at", "metric"} & set(shown)
