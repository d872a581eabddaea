"""The aesthetic dimensions of the protocol and their levels.

Source: PROTOCOL of the paper (arXiv 2512.11883), which uses 11 of the 18 dimensions of the
VisionReward labelling guideline. Score vectors and sums follow this order.
"""

from __future__ import annotations

__all__ = ["DIMENSIONS", "LEVELS"]

DIMENSIONS: tuple[str, ...] = (
    "background",
    "clarity",
    "color aesthetic",
    "color brightness",
    "detail realism",
    "detail refinement",
    "emotion",
    "lighting distinction",
    "main object",
    "object pairing",
    "richness",
)
"""The 11 dimensions that prompts may select, alphabetical."""

LEVELS: tuple[int, ...] = (0, 1, 2)
"""Classes of a dimension: 0 low end (what wide prompts ask for), 1 normal, 2 conventional high end."""
