"""What a live run says about itself: the header before the first test, and the provenance in the results file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from aes_audit.controls.renderer import TruthModel
from aes_audit.endpoints.budget import dollars
from aes_audit.gates.reach import sight
from aes_audit.generators.families import proposed_base
from aes_audit.judges.endpoint_model import EndpointJudgeModel
from aes_audit.judges.registry import ClassifierJudgeModel
from aes_audit.prompts.dimensions import DIMENSIONS

if TYPE_CHECKING:
    from aes_audit.generators.protocol import ResolvedGenerator
    from aes_audit.judges.protocol import ResolvedJudge
    from aes_audit.live.session import LiveSession
    from aes_audit.rewards.protocol import ResolvedReward

__all__ = ["ORDER_SEED", "header", "provenance", "short"]

ORDER_SEED = 0
"""Seed of the order in which pairs are collected; part of every result's provenance."""


def header(session: LiveSession) -> list[str]:
    """Models with revisions, pairs and other sets, device and cache, and what the gates can see."""
    shown = [f"{name} ({short(model.revision)})" for name, model in session.generators.items()]
    rewards = [f"{name} ({short(reward.revision)})" for name, reward in session.rewards.items()]
    prompts = session.prompts
    return [
        f"aes_audit: profile {session.profile.name}, {len(prompts.pairs)} pairs of {prompts.name} "
        f"({short(prompts.digest)}), device {session.device}, store {session.config.store}"
        f"{' (read only)' if session.store.read_only else ''}",
        f"  generators: {', '.join(shown)}",
        f"  rewards: {', '.join(rewards)}",
        *_engine_header(session),
        *_judge_header(session),
        *session.spending.header(session.generators, session.requests, session.store),
        *session.questions.header(session.spending),
        *_comparisons(session),
        *(line for found in session.sets for line in found.header()),
        *_sights(session),
    ]


def _engine_header(session: LiveSession) -> Iterator[str]:
    """Who draws and scores, where that is not this process."""
    if session.config.engine.name != "local":
        yield f"  engine: {session.config.engine}"


def _judge_header(session: LiveSession) -> Iterator[str]:
    """The dimension judge where it is asked in words: by which guideline, and at what price."""
    judge = session.judge
    if isinstance(judge, ClassifierJudgeModel | TruthModel):
        return
    line = f"  judge: {judge.name} ({short(judge.revision)}), guideline {judge.guideline.name} "
    line += f"({short(judge.guideline.digest)})"
    if isinstance(judge, EndpointJudgeModel):
        price = "an unknown price" if judge.price is None else dollars(judge.price)
        line += f", asked at {judge.address.host}, {len(DIMENSIONS)} questions per image at {price} each"
    yield line


def _comparisons(session: LiveSession) -> Iterator[str]:
    """What else could be compared, and what would make a comparison unfair."""
    if session.config.base_model is None:
        for name in session.config.models:
            if base := proposed_base(name, session.config.rootdir):
                yield f"  {name} has a base: --base-model={base} compares them, pair by pair"
    yield from (f"  warning: {said}" for said in session.warnings)


def _sights(session: LiveSession) -> Iterator[str]:
    for gate in session.gates:
        if not gate.advisory and (seen := sight(gate, session.planned(gate.metric))):
            yield f"  gate {gate.metric} {gate.text}: {seen}"


def provenance(session: LiveSession) -> Mapping[str, Any]:
    """Prompt set, models and instruments with revisions and identities, and the other sets; JSON values only."""
    pinned: dict[str, ResolvedGenerator | ResolvedReward | ResolvedJudge] = {
        **session.generators,
        **session.rewards,
        session.judge.name: session.judge,
    }
    prompts = session.prompts
    return {
        "profile": session.profile.name,
        "prompts": dict(prompts.provenance),
        "device": session.device,
        "engine": dict(session.engine.describe()),
        "order_seed": ORDER_SEED,
        "early_stop": session.config.early_stop,
        "changed_images": session.store.changed,
        "warnings": list(session.warnings),
        **{key: said for found in session.sets for key, said in found.provenance().items()},
        **session.spending.record(session.generators, judges=_hosted_judges(session)),
        **session.preferences.provenance(),
        "models": {
            name: {"revision": model.revision, "identity": dict(model.identity)} for name, model in pinned.items()
        },
    }


def _hosted_judges(session: LiveSession) -> bool:
    return bool(session.preferences.onlookers) or isinstance(session.judge, EndpointJudgeModel)


def short(revision: str) -> str:
    """A revision as people read it: the first characters of its digests."""
    return "+".join(part.removeprefix("sha256:")[:12] for part in revision.split("+"))
