"""Preference judges that decide by scores: by a matcher's image-text score, or by the selected dimensions."""

from __future__ import annotations

from dataclasses import dataclass

from aes_audit.judges.protocol import PairScores

__all__ = ["DimensionPreference", "MatcherPreference"]


@dataclass(frozen=True, slots=True)
class MatcherPreference:
    """Prefers the image that an image-text matcher scores higher under p_a."""

    name: str
    """`preference/<judge>`."""
    matcher: str
    """The reward that matches images and texts."""

    def decide(self, pair: PairScores) -> float:
        """1 when r(I_a, p_a) > r(I_o, p_a), 0 when lower, 0.5 when equal; KeyError without both scores."""
        wide = pair.rewards[self.matcher, "wide", "wide"]
        original = pair.rewards[self.matcher, "original", "wide"]
        return 0.5 if wide == original else float(wide > original)


@dataclass(frozen=True, slots=True)
class DimensionPreference:
    """Prefers the image whose selected dimensions are lower, which is what p_a asks for."""

    name: str
    """`preference/<judge>`."""
    tie: float
    """Differences of the summed J up to this size are a tie; J runs from 0 to 2 per dimension."""

    def decide(self, pair: PairScores) -> float:
        """1 when I_a is lower by more than `tie` over the selected dimensions, 0 when higher, else 0.5."""
        shift = sum(pair.judged["wide", name] - pair.judged["original", name] for name in pair.selected)
        if abs(shift) <= self.tie:
            return 0.5
        return float(shift < 0)
