"""Loading a model folder: whatever a library complains of becomes one line, and no weight is left to chance."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from safetensors import SafetensorError

from aes_audit.errors import InfrastructureError

__all__ = ["first_line", "loading", "quiet_libraries", "refuse_empty_tokenizer", "refuse_random_weights"]

_FAULTS = (
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    ImportError,
    SafetensorError,
)


@contextmanager
def loading(what: str) -> Iterator[None]:
    """Turn what a library raises on broken or foreign files into InfrastructureError; `what` names the model."""
    try:
        with quiet_libraries():
            yield
    except _FAULTS as error:
        raise InfrastructureError(f"{what} cannot be loaded: {first_line(error)}") from error


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """No bars and no advice of diffusers and transformers while the block runs."""
    # Their bars and advice would end up between the audits' own lines, or as noise under a failure.
    from transformers.utils import logging as transformers_log

    # Rewards and judges do without diffusers, which takes a second to import.
    diffusers_log = sys.modules.get("diffusers.utils.logging")
    logs: list[Any] = [transformers_log, *([diffusers_log] if diffusers_log else [])]
    levels = [(log, log.get_verbosity(), log.is_progress_bar_enabled()) for log in logs]
    for log, _, _ in levels:
        log.set_verbosity_error()
        log.disable_progress_bar()
    try:
        yield
    finally:
        for log, level, bars in levels:
            log.set_verbosity(level)
            if bars:
                log.enable_progress_bar()


def first_line(error: Exception) -> str:
    """What a library complained of, without its advice and stack."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def refuse_random_weights(what: str, info: Mapping[str, Any]) -> None:
    """Raise InfrastructureError when transformers had to invent weights: scores would differ from run to run.

    `info` is what `from_pretrained(output_loading_info=True)` returns beside the model.
    """
    if missing := sorted(info["missing_keys"]):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InfrastructureError(f"{what} cannot be loaded: its weights lack {missing[0]}{more}.")


def refuse_empty_tokenizer(what: str, tokenizer: Any) -> None:
    """Raise InfrastructureError for the tokenizer that transformers makes up where its file is missing."""
    if len(tokenizer) <= len(set(tokenizer.all_special_tokens)):
        raise InfrastructureError(f"{what} cannot be loaded: its tokenizer knows no word; is tokenizer.json missing?")
