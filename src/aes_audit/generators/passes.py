"""How often a diffusers model runs its denoiser for an image, known before it is loaded. Imports no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aes_audit.generators.editing import ResolvedEditor
from aes_audit.generators.resolve import PIPELINE_MARKER, DiffusersModel

__all__ = ["PIPELINES", "PipelineDefaults", "passes_per_image"]


@dataclass(frozen=True, slots=True)
class PipelineDefaults:
    """What a pipeline class does where its call says nothing; a test holds these against diffusers."""

    steps: int
    """`num_inference_steps`."""
    scale: str
    """The argument that is the classifier-free scale: above 1 every step has a second pass."""
    guidance: float
    """Its default."""
    only_away: bool
    """Whether it contrasts with nothing unless a negative text is given; its `guidance_scale` is then distilled."""
    kept: Callable[[float], int]
    """Whole steps of an edit from `steps * strength`."""


PIPELINES: Mapping[str, PipelineDefaults] = {
    "StableDiffusionPipeline": PipelineDefaults(50, "guidance_scale", 7.5, False, math.floor),
    "StableDiffusionXLPipeline": PipelineDefaults(50, "guidance_scale", 5.0, False, math.floor),
    "StableDiffusion3Pipeline": PipelineDefaults(28, "guidance_scale", 7.0, False, math.ceil),
    "FluxPipeline": PipelineDefaults(28, "true_cfg_scale", 1.0, True, math.ceil),
}
"""Pipeline classes whose passes are known; those of another one are not guessed."""

_OF_FAMILY = {"flux": "FluxPipeline", "sdxl": "StableDiffusionXLPipeline", "sd3.5m": "StableDiffusion3Pipeline"}
"""Families of the zoo whose weights need not be on this machine."""

_ONE_PASS_A_STEP = frozenset(
    (
        "DDIMScheduler",
        "DDPMScheduler",
        "DPMSolverMultistepScheduler",
        "EDMDPMSolverMultistepScheduler",
        "EulerAncestralDiscreteScheduler",
        "EulerDiscreteScheduler",
        "FlowMatchEulerDiscreteScheduler",
        "LCMScheduler",
        "UniPCMultistepScheduler",
    )
)
"""Those of order 2 run the model about twice in a step."""

_OTHERWISE = frozenset(("timesteps", "sigmas", "denoising_end", "skip_guidance_layers"))
"""Arguments of a call with which steps and passes are something else."""


def passes_per_image(generator: object) -> int | None:
    """Passes of one image through the denoiser: steps, twice with classifier-free guidance that is not distilled.

    None where nobody knows: a generator that is no diffusers model, or a pipeline or scheduler not listed here.
    """
    model = generator.model if isinstance(generator, ResolvedEditor) else generator
    if not isinstance(model, DiffusersModel) or _OTHERWISE & model.settings.call.keys():
        return None
    defaults = PIPELINES.get(_pipeline(model))
    if defaults is None or model.scheduler not in _ONE_PASS_A_STEP:
        return None
    steps = model.settings.call.get("num_inference_steps", defaults.steps)
    if isinstance(generator, ResolvedEditor):
        # Rounded as the pipelines round: what is cut off the whole.
        steps = defaults.kept(round(steps * generator.strength, 9))
    return int(steps) * (2 if _contrasts(model, defaults) else 1)


def _contrasts(model: DiffusersModel, defaults: PipelineDefaults) -> bool:
    call = model.settings.call
    if defaults.only_away and call.get("negative_prompt") is None:
        return False
    if float(call.get(defaults.scale, defaults.guidance) or 0.0) <= 1.0:
        return False
    # A U-Net that takes the scale as an input was distilled.
    return _read(model, "unet/config.json").get("time_cond_proj_dim") is None


def _pipeline(model: DiffusersModel) -> str:
    if model.weights.source.folder is None:
        return _OF_FAMILY.get(model.entry.family or "", "") if model.entry else ""
    return str(_read(model, PIPELINE_MARKER).get("_class_name", ""))


def _read(model: DiffusersModel, file: str) -> Mapping[str, Any]:
    """A JSON object of a folder; empty where there is none."""
    try:
        found = json.loads((Path(model.weights.source.folder or "") / file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
