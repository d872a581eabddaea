"""`aes-audit cache-key`: the name under which a pipeline keeps images and scores between runs. Loads no model."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from aes_audit.command.argument_types import OneLineParser, whole

__all__ = ["cache_key"]

_LONGEST = 200
"""Characters of the models' part; GitHub takes 512 for the whole key."""


def cache_key(arguments: Sequence[str]) -> int:
    """Print `aes-audit-PROMPTS-MODELS`, letters, digits and `._+-` only; raises UsageError for what cannot be pinned.

    PROMPTS is the beginning of the prompt set's digest, MODELS that of every commit (or content digest) of the
    generators and rewards: of all of them together where one by one they would be too long.
    """
    typed = _parser().parse_args(arguments)
    from aes_audit.evidence.keys import digest
    from aes_audit.live.account import short

    prompts, revisions = _pinned(typed)
    models = "_".join(re.sub(r"[^\w.+]", ".", short(revision)) for revision in revisions)
    if len(models) > _LONGEST:
        models = digest({"models": revisions})[:12]
    print(f"aes-audit-{prompts[:12]}-{models}")
    return 0


def _pinned(typed: argparse.Namespace) -> tuple[str, list[str]]:
    """The digest of the prompt set, and the revision of each subject in the order in which they were named."""
    from aes_audit.gates.thresholds import read_thresholds
    from aes_audit.generators.registry import resolve_model
    from aes_audit.measures.names import METRIC_NEEDS, PAIRED
    from aes_audit.prompts.pairs import read_prompt_set
    from aes_audit.rewards.registry import resolve_reward

    profile = read_thresholds(_thresholds(typed), PAIRED, METRIC_NEEDS.keys() - PAIRED).profile(typed.profile)
    named = bool(typed.model or typed.reward)
    base = [typed.base_model] if typed.base_model else []
    models = dict.fromkeys([*base, *(typed.model if named else profile.models)])
    rewards = dict.fromkeys(typed.reward if named else profile.rewards)
    # Where a model runs has no part in which weights it has.
    generators = [resolve_model(spec, root=Path(), device="cpu", recipe=profile.recipe) for spec in models]
    scorers = [resolve_reward(spec, device="cpu") for spec in rewards]
    prompts = read_prompt_set(profile.prompts).first(typed.audit_pairs or profile.pairs)
    return prompts.digest, [model.revision for model in generators] + [reward.revision for reward in scorers]


def _thresholds(typed: argparse.Namespace) -> Path:
    from aes_audit.resources import packaged_thresholds

    own = Path("audits/thresholds.toml")
    if typed.audit_thresholds:
        return Path(typed.audit_thresholds)
    return own if own.is_file() else packaged_thresholds()


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="aes-audit cache-key",
        description="Print a key that changes with the prompts and with the weights of what is audited. Options as "
        "for pytest.",
    )
    parser.add_argument("--model", action="append", default=[], metavar="SPEC", help="generator under audit")
    parser.add_argument("--base-model", metavar="SPEC", help="generator it is compared with")
    parser.add_argument("--reward", action="append", default=[], metavar="NAME", help="reward under audit")
    parser.add_argument("--profile", default="control", metavar="NAME", help="default: control")
    parser.add_argument("--audit-pairs", type=whole, metavar="N", help="number of prompt pairs")
    parser.add_argument("--audit-thresholds", metavar="FILE", help="default: audits/thresholds.toml")
    return parser
