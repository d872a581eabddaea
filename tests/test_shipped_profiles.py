"""The profiles that ship: every name in them exists, and every gate can be reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from aes_audit.gates.reach import refuse_unreachable
from aes_audit.gates.thresholds import Profile, read_thresholds
from aes_audit.generators.zoo import ZOO
from aes_audit.judges.image_preference_spec import URL_VARIABLE
from aes_audit.judges.registry import resolve_preference
from aes_audit.judges.spec import parse_judge
from aes_audit.measures.names import METRIC_NEEDS, PAIRED
from aes_audit.prompts.emotion import read_templates
from aes_audit.prompts.pairs import read_prompt_set
from aes_audit.resources import packaged_thresholds
from aes_audit.rewards.registry import scorer_name

THRESHOLDS = read_thresholds(packaged_thresholds(), PAIRED, METRIC_NEEDS.keys() - PAIRED)
PROFILES = [pytest.param(profile, id=name) for name, profile in THRESHOLDS.profiles.items()]


def test_there_is_one_for_the_controls_and_three_for_photographic_models() -> None:
    assert list(THRESHOLDS.profiles) == ["control", "standard", "smoke", "paper"]


@pytest.mark.parametrize("profile", PROFILES)
def test_everything_a_profile_names_exists(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL_VARIABLE, "http://127.0.0.1:9/v1")
    assert {*profile.models, *profile.pool, *filter(None, [profile.edit_source])} <= ZOO.keys()
    for reward in (*profile.rewards, *profile.quality, profile.matcher):
        assert scorer_name(reward, device="cpu") == reward
    names = {resolve_preference(name).name for name in profile.preferences}
    assert resolve_preference(profile.truth).name in names
    assert parse_judge(profile.judge, Path()).base == profile.judge
    assert len(read_prompt_set(profile.prompts).pairs) >= profile.pairs
    assert len(read_templates(profile.faces).templates) == 30


@pytest.mark.parametrize("profile", PROFILES)
def test_every_gate_of_a_profile_can_be_reached_and_reads_an_instrument_of_it(profile: Profile) -> None:
    scorers = {None, *profile.quality, profile.matcher, "judge", "images"}
    for gate in THRESHOLDS.gates:
        if gate.profile == profile.name:
            refuse_unreachable(THRESHOLDS.path, gate, profile.pairs)
            assert gate.scorer in scorers
