"""Which captions and which wide prompts are fit for a set: the checks of `validation`, one text at a time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from aes_audit.prompts.instruction import EXTRA_EFFECTS, Instruction
from aes_audit.prompts.lexicon import Lexicon, words
from aes_audit.prompts.pairs import PromptPair
from aes_audit.prompts.validation import Rules, pair_faults

__all__ = ["Filter", "Objection", "Runs", "original_faults"]


class Runs:
    """Texts by their runs of words: finds the ones that share too many, as `validation.shared_grams` counts them."""

    def __init__(self, rules: Rules) -> None:
        """`rules` say how long a run is, and which share is too much."""
        self._rules = rules
        self._holders: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
        self._sizes: dict[str, int] = {}

    def add(self, name: str, text: str) -> None:
        """Remember a text under a name of its own."""
        grams = self._grams(text)
        self._sizes[name] = len(grams)
        for gram in grams:
            self._holders[gram].append(name)

    def closest(self, text: str) -> str | None:
        """Name of the text that shares most with this one, where that is more than the rules allow."""
        grams = self._grams(text)
        common = Counter(name for gram in grams for name in self._holders.get(gram, ()))
        shares = {name: count / min(len(grams), self._sizes[name]) for name, count in common.items()}
        close = max(shares, key=shares.__getitem__, default=None)
        return close if close is not None and shares[close] > self._rules.shared else None

    def _grams(self, text: str) -> frozenset[tuple[str, ...]]:
        said, size = words(text), self._rules.gram
        return frozenset(said[start : start + size] for start in range(max(1, len(said) - size + 1)))


def original_faults(text: str, lexicon: Lexicon | None, rules: Rules) -> str | None:
    """Why a caption is no base for a pair: `length`, or `aesthetic` where it asks for an effect itself; else None."""
    if not rules.original[0] <= len(words(text)) <= rules.original[1]:
        return "length"
    return "aesthetic" if lexicon and lexicon.signals(text) else None


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a wide prompt is turned down."""

    rules: tuple[str, ...]
    """Names of the faults, as `validation` has them, each once."""
    text: str
    """The faults in words, for people."""
    complaint: str
    """The same in the instruction's words, for the writer; may be empty."""


@dataclass(slots=True)
class Filter:
    """Turns wide prompts down; remembers those that it let pass."""

    instruction: Instruction
    """Whose words the complaints are."""
    lexicon: Lexicon | None
    """What tells the dimensions; None in another language than English."""
    rules: Rules
    """The limits."""
    extra_effects: str
    """One of EXTRA_EFFECTS: `allow` lets effects pass that were not asked for."""
    passed: int = field(default=0, init=False)
    """How many passed so far."""
    _passed: Runs = field(init=False)

    def __post_init__(self) -> None:
        self._passed = Runs(self.rules)

    def objection(self, pair: PromptPair) -> Objection | None:
        """What is wrong with the pair by itself, or with its likeness to those before; None when it passes."""
        faults = [fault for fault in pair_faults(pair, self.lexicon, (), self.rules) if not self._borne(fault.rule)]
        told = {fault.rule: fault.text for fault in faults}
        if close := self._passed.closest(pair.wide):
            told.setdefault("near-duplicate", f"wide shares too many of its words with that of {close!r}")
        if told:
            return Objection(tuple(told), "; ".join(told.values()), self._complaint(pair, tuple(told)))
        self._passed.add(pair.id, pair.wide)
        self.passed += 1
        return None

    def _borne(self, rule: str) -> bool:
        # Captions were checked when they were drawn, and the writer cannot mend them.
        return rule == "aesthetic" or (rule == "leak" and self.extra_effects == EXTRA_EFFECTS[1])

    def _complaint(self, pair: PromptPair, rules: Sequence[str]) -> str:
        found = self.lexicon.signals(pair.wide) if self.lexicon else {}
        told: list[str] = []
        for rule in rules:
            if rule == "length":
                told.append(self.instruction.complaint("length", str(len(words(pair.wide)))))
            elif rule == "unsignalled":
                missing = [name for name in pair.dimensions if name not in found]
                texts = (self.instruction.effects[name].rstrip(".") for name in missing)
                told += [self.instruction.complaint("unsignalled", text) for text in texts]
            elif rule == "leak":
                extra = [word for name, said in found.items() if name not in pair.dimensions for word in said]
                told.append(self.instruction.complaint("leak", ", ".join(f'"{word}"' for word in extra)))
            elif rule == "near-duplicate":
                told.append(self.instruction.complaint("near-duplicate"))
        return "; ".join(told)
