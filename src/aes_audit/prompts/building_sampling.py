"""Which captions become pairs, and which dimensions each gets: drawn from a seed, and from nothing else.

Source: PROTOCOL section 3 ("Base captions", "Dimensions") and rule R3.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256

from aes_audit.prompts.building_filters import Runs, original_faults
from aes_audit.prompts.captions import Caption
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.prompts.lexicon import Lexicon
from aes_audit.prompts.validation import Rules

__all__ = ["SIZES", "draw_captions", "draw_dimensions"]

SIZES = (2, 3, 4)
"""How many dimensions a pair may have."""


def draw_dimensions(
    count: int, seed: int, *, balanced: bool, allowed: Sequence[str] = DIMENSIONS
) -> list[tuple[str, ...]]:
    """The dimensions of `count` pairs, each in the protocol's order; the first of them do not depend on `count`.

    Independent draws, as the paper made them: 2, 3 or 4 with equal probability, then that many without replacement.
    Balanced ones: in every three pairs one each of 2, 3 and 4, and always the dimensions used least so far, ties drawn.
    """
    chance = random.Random(f"dimensions {seed}")
    sizes = [min(size, len(allowed)) for size in SIZES]
    used = Counter(dict.fromkeys(allowed, 0))
    drawn: list[tuple[str, ...]] = []
    while len(drawn) < count:
        for size in chance.sample(sizes, 3) if balanced else [chance.choice(sizes)]:
            order = chance.sample(list(allowed), len(allowed))
            if balanced:
                order.sort(key=used.__getitem__)
            chosen = order[:size]
            used.update(chosen)
            drawn.append(tuple(name for name in DIMENSIONS if name in chosen))
    return drawn[:count]


def draw_captions(
    captions: Sequence[Caption], seed: int, lexicon: Lexicon | None, rules: Rules, skipped: Counter[str]
) -> Iterator[Caption]:
    """Fit captions in an order drawn from the seed, which does not depend on their order in the source.

    Left out, and counted in `skipped` by the reason: what `original_faults` finds, a second caption of one photograph
    (`same picture`), and a caption that shares its words with an earlier one (`near-duplicate`).
    """
    taken, runs = set[str](), Runs(rules)
    for caption in sorted(captions, key=lambda caption: (_rank(seed, caption.text), caption.group)):
        reason = "same picture" if caption.group in taken else original_faults(caption.text, lexicon, rules)
        if reason is None and runs.closest(caption.text):
            reason = "near-duplicate"
        if reason is not None:
            skipped[reason] += 1
            continue
        taken.add(caption.group)
        runs.add(caption.id, caption.text)
        yield caption


def _rank(seed: int, text: str) -> bytes:
    return sha256(f"captions {seed} {text}".encode()).digest()
