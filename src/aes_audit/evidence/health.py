"""Is a reward fit to gate with? The known cases are asked like any other question, and their answers kept."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from aes_audit.evidence.engines.protocol import Engine
from aes_audit.evidence.keys import digest
from aes_audit.evidence.scorers import Question, reward_scorer
from aes_audit.evidence.scoring import score_images
from aes_audit.evidence.store import CorruptObject, ImageRecord, Store
from aes_audit.rewards.health import HealthCases, faults_in, known_cases
from aes_audit.rewards.protocol import Answer, ResolvedReward

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["unhealthy"]


def unhealthy(reward: ResolvedReward, store: Store, engine: Engine) -> tuple[str, ...]:
    """One sentence per check that a reward fails; loads it only where the store lacks its answers.

    Raises InfrastructureError or StoreUnusable.
    """
    cases = known_cases("control" if reward.name.startswith("control/") else "photo")
    try:
        found = _asked(reward, cases, store, engine)
    except CorruptObject:
        # The store drops a picture that it finds changed; the second time it is kept anew.
        found = _asked(reward, cases, store, engine)
    scores = [
        {text: answer.value for text, answer in answered.items() if answer.value is not None} for answered in found
    ]
    return faults_in(scores, cases)


def _asked(reward: ResolvedReward, cases: HealthCases, store: Store, engine: Engine) -> Sequence[Mapping[str, Answer]]:
    questions = [Question(_kept(asked.image, store), asked.texts) for asked in cases.questions]
    return score_images(reward_scorer(reward), questions, store, engine)


def _kept(image: Image, store: Store) -> ImageRecord:
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    key = digest({"known_case": hashlib.sha256(stream.getvalue()).hexdigest()})
    record = store.image(key)
    if record is None:
        store.put_image(key, stream.getvalue(), {"known_case": True})
        record = store.image(key)
    assert record is not None
    return record
