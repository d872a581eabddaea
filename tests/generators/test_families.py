"""Which models are compared with which, and what is said where a comparison would show more than the alignment."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields
from pathlib import Path

import pytest

from aes_audit.generators.families import differences, proposed_base, provenance_warnings
from aes_audit.generators.protocol import ImageRequest, ResolvedGenerator
from aes_audit.generators.registry import resolve_model
from aes_audit.pinning import pinned_model

NOWHERE = Path("/nowhere")
COMMIT = "c" * 40
DANCE = f"flux-dev+transformer=xzyhku/flux_hpsv2.1_dancegrpo/checkpoint-ema-300-0/x.safetensors@{COMMIT}"
PICKSCORE = f"sd3.5m-pickscore+lora=jieliu/SD3.5M-FlowGRPO-PickScore@{COMMIT}"


def pinned(spec: str) -> ResolvedGenerator:
    """A model by SPEC."""
    return resolve_model(spec, root=NOWHERE, device="cuda")


def warned(spec: str, base: str) -> tuple[str, ...]:
    """What is said about a comparison."""
    return provenance_warnings([pinned(spec)], pinned(base))


@pytest.mark.parametrize(
    ("spec", "base"),
    [
        ("dance-flux", "flux-dev"),
        ("dance-flux[recipe=paper]", "flux-dev[recipe=paper]"),
        ("pref-flux@main", "flux-dev"),
        ("playground-2.5", "sdxl"),
        ("sd3.5m-pickscore", "sd3.5m"),
        ("control/beautified", "control/faithful"),
        ("control/mitigated", "control/beautified"),
        ("flux-dev[steps=9]+lora=./mine", "flux-dev[steps=9]"),
        ("dance-flux+negative=pretty", "dance-flux"),
        ("./folder+transformer=./other", "./folder"),
        ("flux-dev", None),
        ("flux-krea", None),
        ("nano-banana", None),
        ("./folder", None),
        ("owner/name@v1", None),
    ],
)
def test_a_model_is_compared_with_what_it_descends_from(spec: str, base: str | None) -> None:
    assert proposed_base(spec, NOWHERE) == base


@pytest.mark.parametrize(
    ("spec", "base"),
    [
        (DANCE, "flux-dev"),
        (PICKSCORE, "sd3.5m"),
        ("flux-dev[true_cfg=4]+negative=pretty", "flux-dev"),
        (f"sdxl+lora=owner/name@{COMMIT}", "sdxl"),
        ("control/beautified", "control/faithful"),
    ],
)
def test_models_of_a_family_differ_in_their_weights_alone(spec: str, base: str) -> None:
    assert differences(pinned(spec), pinned(base)) == {}
    assert warned(spec, base) == ()


@pytest.mark.parametrize(
    ("spec", "base", "said"),
    [
        (f"dance-flux@{COMMIT}[recipe=paper,dtype=bfloat16]", "flux-dev[recipe=paper]", "dtype (bfloat16, float16)"),
        ("flux-dev[steps=9]", "flux-dev", "steps (9, 50)"),
        ("flux-dev[true_cfg=4]", "flux-dev", "true_cfg_scale (4, the pipeline's default)"),
        ("flux-dev[guidance=2,size=512]", "flux-dev", "size (512x512, 1024x1024) and guidance (2, 3.5)"),
        (
            "playground-2.5",
            "sdxl",
            "scheduler (EDMDPMSolverMultistepScheduler, EulerDiscreteScheduler)",
        ),
        (
            "playground-2.5[recipe=paper]",
            "sdxl[recipe=paper]",
            "guidance (3, 5) and scheduler (EDMDPMSolverMultistepScheduler, EulerDiscreteScheduler)",
        ),
        (
            "flux-dev",
            "sd3.5m",
            "family (flux, sd3.5m), steps (50, 40) and guidance (3.5, 4.5)",
        ),
        ("flux-dev[steps=9]", f"owner/name@{COMMIT}", "the pipeline's default"),
        ("nano-banana", "flux-dev", "kind (one of them does not tell its settings)"),
    ],
)
def test_every_other_difference_is_named_with_both_values(spec: str, base: str, said: str) -> None:
    if spec.startswith("dance-flux"):
        # Without asking the hub for the transformer's commit: the same settings from the parts.
        spec = f"{DANCE.replace('flux-dev', 'flux-dev[recipe=paper,dtype=bfloat16]', 1)}"
    (sentence,) = warned(spec, base)
    assert said in sentence
    assert sentence.startswith(f"{spec} and {base} differ in ")
    assert "\n" not in sentence


def test_a_folders_scheduler_counts_with_its_settings(tiny_pipeline: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(tiny_pipeline, tmp_path / "other"))
    assert warned(str(other), str(tiny_pipeline)) == ()
    file = other / "scheduler" / "scheduler_config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps({**config, "shift": 2.5, "_diffusers_version": "0.1"}))
    (sentence,) = warned(str(other), str(tiny_pipeline))
    assert f"differ in scheduler's shift (2.5, {config['shift']:g}): " in sentence


def test_models_of_one_table_with_different_settings_are_shown_with_them() -> None:
    specs = ["flux-dev", "sd3.5m", "nano-banana"]
    (sentence,) = provenance_warnings([pinned(spec) for spec in specs], None)
    assert "flux-dev (1024x1024, 50 steps, guidance 3.5, bfloat16, FlowMatchEulerDiscreteScheduler)" in sentence
    assert "sd3.5m (1024x1024, 40 steps, guidance 4.5, bfloat16, FlowMatchEulerDiscreteScheduler)" in sentence
    assert provenance_warnings([pinned("flux-dev"), pinned(DANCE)], None) == ()
    assert provenance_warnings([pinned("nano-banana")], None) == ()


def test_the_images_of_a_pair_can_differ_in_prompt_and_seed_alone() -> None:
    assert {field.name for field in fields(ImageRequest)} == {"prompt", "seed"}


@pytest.mark.parametrize("spec", ["flux-dev", DANCE, PICKSCORE, f"owner/name@{COMMIT}", "control/beautified"])
def test_what_names_commits_and_folders_does_not_float(spec: str) -> None:
    assert pinned_model(pinned(spec), NOWHERE) is None
