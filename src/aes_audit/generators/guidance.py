"""Whether a pipeline call contrasts the prompt with a negative one (classifier-free guidance), and with which."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from aes_audit.errors import UsageError

__all__ = ["call_value", "is_guided", "refuse_inert_negative"]


def call_value(pipeline: Any, call: Mapping[str, Any], name: str) -> Any:
    """The argument `name` of the pipeline call: what the settings say, else the pipeline's default, None for none."""
    if name in call:
        return call[name]
    parameter = inspect.signature(type(pipeline).__call__).parameters.get(name)
    return None if parameter is None or parameter.default is inspect.Parameter.empty else parameter.default


def is_guided(pipeline: Any, call: Mapping[str, Any]) -> bool:
    """Whether a negative prompt changes the image.

    Flux and Qwen-Image decide by `true_cfg_scale` above 1 (their `guidance_scale` is an input of the model), the
    others by `guidance_scale` above 1, Z-Image above 0; a U-Net that takes the scale as an input is not guided.
    """
    if "negative_prompt" not in inspect.signature(type(pipeline).__call__).parameters:
        return False
    unet = getattr(pipeline, "unet", None)
    if unet is not None and unet.config.get("time_cond_proj_dim") is not None:
        return False
    name, least = _scale(pipeline)
    return float(call_value(pipeline, call, name) or 0.0) > least


def refuse_inert_negative(name: str, pipeline: Any, call: Mapping[str, Any]) -> None:
    """Raise UsageError, naming the model and what to set, where a negative prompt would change nothing."""
    if is_guided(pipeline, call):
        return
    kind = type(pipeline).__name__
    if "negative_prompt" not in inspect.signature(type(pipeline).__call__).parameters:
        raise UsageError(f"model {name!r}: a {kind} takes no negative prompt; leave +negative= out.")
    scale, least = _scale(pipeline)
    found = call_value(pipeline, call, scale)
    raise UsageError(
        f"model {name!r}: +negative= would change nothing, because {scale} of the {kind} is {found}: "
        f"set {_option(scale)} above {least:g}."
    )


def _scale(pipeline: Any) -> tuple[str, float]:
    if "true_cfg_scale" in inspect.signature(type(pipeline).__call__).parameters:
        return "true_cfg_scale", 1.0
    # Z-Image contrasts as soon as the scale is positive.
    return "guidance_scale", 0.0 if type(pipeline).__name__.startswith("ZImage") else 1.0


def _option(scale: str) -> str:
    return "[guidance=...]" if scale == "guidance_scale" else "[true_cfg=...]"
