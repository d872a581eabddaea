"""A dimension judge behind an endpoint: the same question, and J from the log-probabilities of the next token.

Hosts list only the likeliest tokens. An answer among 0, 1 and 2 that is not listed is at most as likely as the last one
that is, and as what the list leaves over; it counts as impossible as long as that bound moves J by MAX_ERROR or less.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL.Image import Resampling

from aes_audit.endpoints.address import OPENAI
from aes_audit.endpoints.caller import Caller
from aes_audit.endpoints.payload import Payload, charged, dig
from aes_audit.errors import AesAuditError, InfrastructureError
from aes_audit.judges.guideline import question
from aes_audit.prompts.dimensions import LEVELS
from aes_audit.rewards.image_recipes import to_rgb
from aes_audit.rewards.protocol import Answer

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from aes_audit.endpoints.openai_session import OpenAISession
    from aes_audit.judges.endpoint_model import EndpointJudgeModel

__all__ = ["ANSWERS", "MAX_ERROR", "EndpointJudge", "Listed", "read_listed"]

ANSWERS = 3
"""How often a question is asked in all when the answer holds no usable log-probabilities."""

MAX_ERROR = 0.02
"""By how much an unlisted answer may move J, which runs from 0 to 2, at most."""

_ROUNDING = 1e-3
"""By how much the listed probabilities may sum to more than one: hosts round them."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What a host says about the answers 0, 1 and 2."""

    probabilities: tuple[float, float, float]
    """Of the three answers, summing to 1; an unlisted one has 0."""
    unlisted: tuple[int, ...]
    """The answers that were not listed."""
    error: float
    """By how much the unlisted answers may move J at most; 0 where all are listed."""


class EndpointJudge:
    """Asks through an endpoint, several questions at once; follows `DimensionJudge`."""

    def __init__(self, session: OpenAISession, caller: Caller, judge: EndpointJudgeModel) -> None:
        """Keep the open connection, the limits of its calls, and what is asked."""
        self._session = session
        self._caller = caller
        self._judge = judge

    def answers(self, images: Sequence[Image], dimensions: Sequence[str]) -> list[list[Answer]]:
        """J of every image and dimension, or the reason why there is none.

        Raises InfrastructureError when the host fails for good or gives no log-probabilities, and BudgetSpent.
        """
        return [[_answer(found) for found in row] for row in self._listed(images, dimensions)]

    def probabilities(self, images: Sequence[Image], dimensions: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities of the classes: shape (images, dimensions, 3); NaN where there is none; raises as `answers`."""
        rows = self._listed(images, dimensions)
        nothing = (math.nan,) * len(LEVELS)
        return np.array(
            [[found.probabilities if isinstance(found, Listed) else nothing for found in row] for row in rows]
        )

    def score(self, images: Sequence[Image], dimensions: Sequence[str]) -> NDArray[np.float64]:
        """J = p(1) + 2 p(2): shape (images, dimensions); NaN where there is none. Raises as `answers`."""
        rows = self.answers(images, dimensions)
        return np.array([[math.nan if answer.value is None else answer.value for answer in row] for row in rows])

    def _listed(self, images: Sequence[Image], dimensions: Sequence[str]) -> list[list[Listed | str]]:
        texts = [question(name, self._judge.guideline) for name in dimensions]
        shown = [_data_url(image, self._judge.size) for image in images]
        found = self._caller.map(self._asked, [(text, url) for url in shown for text in texts])
        for answer in found:
            if isinstance(answer, AesAuditError):
                raise answer
        answered = iter([answer for answer in found if not isinstance(answer, AesAuditError)])
        return [[next(answered) for _ in texts] for _ in shown]

    def _asked(self, asked: tuple[str, str]) -> Listed | str:
        """What the host lists, or what is wrong with all that it answered."""
        messages = [{"role": "user", "content": _content(*asked, self._judge.order)}]
        # OpenAI renamed the field; most others know the old name alone.
        longest = "max_completion_tokens" if self._judge.address == OPENAI else "max_tokens"
        options = {longest: 1, "temperature": 1, "logprobs": True, "top_logprobs": self._judge.top}
        fault, without = "", 0
        for _ in range(ANSWERS):
            payload = self._caller.call(
                lambda: self._session.chat(self._judge.model, messages, **options), cost=charged
            )
            try:
                return read_listed(payload)
            except ValueError as error:
                fault = str(error)
            without += dig(payload, "choices", 0, "message") is not None and not dig(payload, "choices", 0, "logprobs")
        if without == ANSWERS:
            raise InfrastructureError(
                f"{self._caller.name} answers without log-probabilities, from which J is read: take a model and a host "
                "that give them (vLLM, SGLang, llama.cpp and OpenAI's chat models do)."
            )
        return f"{fault} ({ANSWERS} answers)"


def read_listed(payload: Payload) -> Listed:
    """What a chat completion lists for its first token; raises ValueError that says what is wrong with it.

    Only the bare digits count: " 1" is another token than "1". Source: PROTOCOL section 5, "Score".
    """
    first = dig(payload, "choices", 0, "logprobs", "content", 0)
    entries = dig(first, "top_logprobs")
    if not isinstance(entries, list):
        raise ValueError("the answer holds no log-probabilities")
    listed: dict[str, float] = {}
    # The token that was drawn need not be among the likeliest.
    for entry in (*entries, first):
        token, value = dig(entry, "token"), dig(entry, "logprob")
        if not isinstance(token, str) or not isinstance(value, int | float) or not value <= _ROUNDING:
            raise ValueError(f"the answer lists {str(entry)[:80]} as a log-probability")
        listed.setdefault(token, math.exp(value))
    if (total := sum(listed.values())) > 1 + len(listed) * _ROUNDING:
        raise ValueError(f"the answer lists probabilities that sum to {total:.3g}")
    likely = [listed.get(str(level)) for level in LEVELS]
    unlisted = tuple(level for level, value in zip(LEVELS, likely, strict=True) if value is None)
    known = [value or 0.0 for value in likely]
    if not sum(known):
        raise ValueError("none of the answers 0, 1 and 2 is among the likeliest tokens")
    # What is not listed comes after the last that is, and all of it together is what is left over.
    most = min(min(listed.values()), max(0.0, 1 - total))
    share = [value / sum(known) for value in known]
    return Listed((share[0], share[1], share[2]), unlisted, _error(known, unlisted, most))


def _error(known: Sequence[float], unlisted: Sequence[int], most: float) -> float:
    """How far J moves when each unlisted answer has any probability up to `most`.

    J is a ratio of linear functions, so its extremes lie in the corners.
    """
    ours = _expected(known)
    corners = product(*((0.0, most) if level in unlisted else (known[level],) for level in LEVELS))
    return max(abs(_expected(corner) - ours) for corner in corners)


def _expected(likely: Sequence[float]) -> float:
    return sum(level * value for level, value in zip(LEVELS, likely, strict=True)) / sum(likely)


def _answer(found: Listed | str) -> Answer:
    if isinstance(found, str):
        return Answer(None, found)
    if found.error > MAX_ERROR:
        digits = " and ".join(f'"{level}"' for level in found.unlisted)
        return Answer(
            None, f"the host does not list {digits} among the likeliest tokens: J may be off by {found.error:.2f}"
        )
    return Answer(_expected(found.probabilities), None, {"unlisted_error": found.error} if found.unlisted else {})


def _content(text: str, url: str, order: str) -> list[Mapping[str, Any]]:
    parts: list[Mapping[str, Any]] = [
        {"type": "text", "text": text},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    return parts if order == "text-first" else parts[::-1]


def _data_url(image: Image, size: tuple[int, int]) -> str:
    file = io.BytesIO()
    to_rgb(image).resize(size, Resampling.BICUBIC).save(file, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
