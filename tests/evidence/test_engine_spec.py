"""What --engine may say."""

from __future__ import annotations

import argparse

import pytest

from aes_audit.evidence.engines.spec import EngineSpec, RaySettings, parse_engine


def test_an_engine_is_named_with_its_options() -> None:
    assert parse_engine("local") == EngineSpec("local")
    assert parse_engine("ray") == EngineSpec("ray")
    spec = parse_engine("ray[address=10.0.0.1:6379, actors=8,gpus=1,reward_gpus=0.25,cpus=2]")
    said: dict[str, str | int | float] = {"address": "10.0.0.1:6379", "actors": 8}
    said |= {"gpus": 1.0, "reward_gpus": 0.25, "cpus": 2.0}
    assert spec == EngineSpec("ray", said)
    assert RaySettings(**spec.options) == RaySettings("10.0.0.1:6379", 8, 1.0, 0.25, 2.0)  # type: ignore[arg-type]
    assert parse_engine(str(spec)) == spec
    assert parse_engine("ray[address=auto]").options == {"address": "auto"}
    assert parse_engine("ray[address=[::1]:6379]").options == {"address": "[::1]:6379"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("cluster", "invalid value 'cluster': choose local, ray"),
        (
            "ray[actors=8",
            "invalid value 'ray[actors=8': choose local, ray, with options in brackets, as 'ray[actors=2]'",
        ),
        ("local[actors=8]", "'actors=8' is no option of local, or said twice; options are none"),
        ("ray[nodes=8]", "'nodes=8' is no option of ray, or said twice; options are address=, actors=, gpus="),
        ("ray[]", "'' is no option of ray"),
        ("ray[actors=]", "'actors=' is no option of ray"),
        ("ray[actors=1,actors=2]", "'actors=2' is no option of ray, or said twice"),
        ("ray[actors=0]", "actors=0 is no number of processes: give 1 or more"),
        ("ray[actors=many]", "actors=many is no number of processes"),
        ("ray[gpus=1.5]", "gpus=1.5 is no share of GPUs: give 0 to 1, or a whole number"),
        ("ray[gpus=-1]", "gpus=-1 is no number: write it as 2 or 0.25"),
        ("ray[reward_gpus=nan]", "reward_gpus=nan is no number"),
        ("ray[cpus=0]", "cpus=0 is no number of CPUs: give more than 0"),
        ("ray[address=head]", "address=head is no address: give HOST:PORT"),
        ("ray[address=ray://head:10001]", "is a client's address: give HOST:PORT of the cluster's head"),
    ],
)
def test_what_is_wrong_is_said_with_the_way_out(text: str, complaint: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as refused:
        parse_engine(text)
    assert complaint in str(refused.value)
    assert str(refused.value).startswith(f"invalid value {text!r}: ")
