"""What may stand in brackets behind a model, and what is guided away from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aes_audit.errors import UnknownName, UsageError
from aes_audit.generators.registry import resolve_model
from aes_audit.generators.resolve import DiffusersModel, resolve_generator


def resolve(spec: str, root: Path) -> DiffusersModel:
    """Pin a SPEC for the CPU."""
    return resolve_generator(spec, root=root, device="cpu")


def test_options_reach_the_call_under_the_names_that_pipelines_take(tiny_pipeline: Path) -> None:
    plain = resolve(str(tiny_pipeline), tiny_pipeline).settings
    model = resolve(f"{tiny_pipeline}[steps=7, guidance=2, true_cfg=4, size=32x16, dtype=float16]", tiny_pipeline)
    chosen = {"num_inference_steps": 7, "guidance_scale": 2.0, "true_cfg_scale": 4.0, "width": 32, "height": 16}
    assert dict(model.settings.call) == {**plain.call, **chosen}
    assert isinstance(model.settings.call["guidance_scale"], float)
    assert model.dtype == "float16"
    assert resolve(f"{tiny_pipeline}[size=32]", tiny_pipeline).settings.call["width"] == 32


def test_a_negative_text_reaches_the_call_and_is_remembered(tiny_pipeline: Path) -> None:
    model = resolve(f"{tiny_pipeline}+negative=bright, pretty", tiny_pipeline)
    assert model.settings.call["negative_prompt"] == model.settings.negative == "bright, pretty"


def test_saying_what_holds_anyway_changes_no_image() -> None:
    commit = "3de623fc3c33e44ffbe2bad470d0f45bccf2eb21"
    same = ["flux-dev", "flux-dev[steps=50,guidance=3.5,size=1024]", f"black-forest-labs/FLUX.1-dev@{commit}"]
    first, *others = (resolve(spec, Path("/nowhere")).identity for spec in [*same, f"flux-dev@{commit}"])
    assert all(other == first for other in others)
    assert resolve("flux-dev[recipe=paper]", Path("/nowhere")).identity != first


def test_a_wanted_recipe_holds_for_names_that_say_none() -> None:
    def steps(spec: str) -> int:
        model = resolve_generator(spec, root=Path("/nowhere"), device="cpu", recipe="paper")
        return int(model.settings.call["num_inference_steps"])

    assert [steps(spec) for spec in ("flux-dev", "flux-dev[recipe=default]", "flux-dev[steps=9]")] == [32, 50, 9]
    assert steps("control/faithful") == 12


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("step=3", "unknown option of '.*'. Did you mean 'steps'? Known: "),
        ("price=3", "unknown option of '.*'. Known: "),
        ("steps=0", "steps=0 is not a whole number from 1 to 9999."),
        ("steps=3.5", "steps=3.5 is not a whole number"),
        ("steps=٣", "steps=٣ is not a whole number"),
        ("guidance=-1", "guidance=-1 is not a number of 0 or more."),
        ("true_cfg=x", "true_cfg=x is not a number of 0 or more."),
        ("guidance=nan", "guidance=nan is not a number of 0 or more."),
        ("guidance=1e999", "guidance=1e999 is not a number"),
        ("size=100", "size=100 is not N or WIDTHxHEIGHT in multiples of 8 pixels."),
        ("size=0x8", "size=0x8 is not N or"),
        ("size=8x8x8", "size=8x8x8 is not N or"),
        ("dtype=fp16", "unknown dtype of '.*'. .*Known: bfloat16, float16, float32."),
        ("recipe=paper", "only names of the zoo have recipes"),
    ],
)
def test_a_broken_option_is_answered_in_one_line(tiny_pipeline: Path, options: str, complaint: str) -> None:
    with pytest.raises(UsageError) as raised:
        resolve(f"{tiny_pipeline}[{options}]", tiny_pipeline)
    assert re.search(complaint.replace("?", r"\?").replace("٣", "."), str(raised.value))
    assert "\n" not in str(raised.value)


def test_an_unknown_recipe_lists_the_two() -> None:
    with pytest.raises(UnknownName, match=r"^unknown recipe of 'flux-dev\[recipe=papers\]' 'papers'\. Did you mean"):
        resolve("flux-dev[recipe=papers]", Path("/nowhere"))


@pytest.mark.parametrize("spec", ["control/faithful@main", "nano-banana@main"])
def test_a_name_without_revisions_says_so(spec: str) -> None:
    with pytest.raises(UsageError, match=r"has no revisions: write (control/faithful|nano-banana)\.$"):
        resolve_model(spec, root=Path("/nowhere"), device="cpu")
