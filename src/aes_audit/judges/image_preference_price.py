"""What a question to a judge of images costs: a sum per question, or a price per token."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TOKENS_IN", "TOKENS_OUT", "Price"]

TOKENS_IN = 4000
"""Tokens of a question that are paid in advance where only token prices are known: two images of 1024 x 1024 pixels
are 2,048 of a Qwen3-VL, whose tokens are squares of 32 pixels, and hosts differ by less than two."""
TOKENS_OUT = 100
"""Tokens of an answer that are paid in advance; a JSON object with one integer has about ten."""

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars, before and after a question."""

    question: float
    """Set aside before a question is sent."""
    token_in: float | None = None
    """Per token that is read; None where a question costs what was set aside."""
    token_out: float | None = None
    """Per token that is written."""

    @classmethod
    def read(cls, question: float | None, million_in: float | None, million_out: float | None) -> Price | None:
        """The price from what a SPEC says, the tokens by the million; None when it says nothing."""
        if million_in is None and million_out is None:
            return None if question is None else cls(question)
        token_in, token_out = (million_in or 0.0) / _MILLION, (million_out or 0.0) / _MILLION
        expected = TOKENS_IN * token_in + TOKENS_OUT * token_out
        return cls(expected if question is None else question, token_in, token_out)

    def of(self, tokens_in: int | None, tokens_out: int | None) -> float | None:
        """What an answer cost; None for what was set aside, where the host counts no tokens or they have no price."""
        if self.token_in is None or self.token_out is None or tokens_in is None or tokens_out is None:
            return None
        return tokens_in * self.token_in + tokens_out * self.token_out
