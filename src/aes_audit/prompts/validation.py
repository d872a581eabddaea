"""Whether prompt pairs are fit to measure with: lengths, balance, near-duplicates, and whether the words tell.

`aes-audit prompts check NAME_OR_FILE` prints what is wrong with a set, one line each.
Source: PROTOCOL, sections 2 and 3 and rule R2 (a wide prompt asks for its dimensions and for nothing else).
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from aes_audit.prompts.companion import Reviewed, read_companion
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.prompts.lexicon import Lexicon, read_lexicon, words
from aes_audit.prompts.pairs import PromptPair, read_prompt_set
from aes_audit.resources import prompt_set

__all__ = ["Fault", "Rules", "main", "pair_faults", "set_faults", "shared_grams"]


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits of the built-in set; counts are of words, both ends allowed."""

    original: tuple[int, int] = (6, 25)
    """Words of an original."""
    wide: tuple[int, int] = (12, 69)
    """Words of a wide prompt; the paper asks for fewer than 70."""
    dimensions: tuple[int, int] = (2, 4)
    """Selected dimensions of a pair."""
    balance: float = 0.15
    """How far a dimension's count, or that of pairs with k dimensions, may be from the mean, as a share of it."""
    gram: int = 4
    """Words in a row that count as one piece of text."""
    shared: float = 0.5
    """Two texts may share at most this part of the pieces of the shorter one."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    item: str | None
    """The pair's id; None when it is about the whole set."""
    rule: str
    """`length`, `dimensions`, `unsignalled`, `leak`, `aesthetic`, `balance`, `near-duplicate` or `reviewed`."""
    text: str
    """What is wrong, with the offending words or numbers."""

    def __str__(self) -> str:
        return f"{self.item or 'the set'}: {self.rule}: {self.text}"


def pair_faults(
    pair: PromptPair, lexicon: Lexicon | None, reviewed: Sequence[Reviewed] = (), rules: Rules | None = None
) -> Iterator[Fault]:
    """What is wrong with one pair by itself. Without a lexicon (another language) words are only counted."""
    rules = rules or Rules()
    for name, text, (least, most) in (("original", pair.original, rules.original), ("wide", pair.wide, rules.wide)):
        if not least <= (count := len(words(text))) <= most:
            yield Fault(pair.id, "length", f"{name} has {count} words, not {least} to {most}")
    if words(pair.original) == words(pair.wide):
        yield Fault(pair.id, "near-duplicate", "wide and original are the same words")
    if not rules.dimensions[0] <= (count := len(pair.dimensions)) <= rules.dimensions[1]:
        yield Fault(pair.id, "dimensions", f"{count} selected, not {rules.dimensions[0]} to {rules.dimensions[1]}")
    if lexicon is not None:
        yield from _telling(pair, lexicon, {entry.dimension for entry in reviewed if entry.id == pair.id})


def set_faults(
    pairs: Sequence[PromptPair],
    lexicon: Lexicon | None,
    reviewed: Sequence[Reviewed] = (),
    rules: Rules | None = None,
) -> tuple[Fault, ...]:
    """Everything that is wrong with the pairs, one by one and together; empty when nothing is."""
    rules = rules or Rules()
    alone = [fault for pair in pairs for fault in pair_faults(pair, lexicon, reviewed, rules)]
    return (*alone, *_imbalance(pairs, rules), *_repetition(pairs, rules), *_idle_reviews(pairs, lexicon, reviewed))


def shared_grams(one: str, other: str, gram: int) -> float:
    """Share of the shorter text's runs of `gram` words that the other text has too, in [0, 1]."""
    return _share(_grams(one, gram), _grams(other, gram))


def _telling(pair: PromptPair, lexicon: Lexicon, allowed: set[str]) -> Iterator[Fault]:
    found = lexicon.signals(pair.wide)
    for name in DIMENSIONS:
        if name in pair.dimensions and name not in found:
            yield Fault(pair.id, "unsignalled", f"no word of the wide prompt tells a reader about {name!r}")
        elif name in found and name not in pair.dimensions and name not in allowed:
            yield Fault(pair.id, "leak", f"{name!r} is not selected but signalled by {_quoted(found[name])}")
    for name, said in lexicon.signals(pair.original).items():
        yield Fault(pair.id, "aesthetic", f"the original signals {name!r} by {_quoted(said)}")


def _imbalance(pairs: Sequence[PromptPair], rules: Rules) -> Iterator[Fault]:
    used = Counter(name for pair in pairs for name in pair.dimensions)
    sizes = Counter(len(pair.dimensions) for pair in pairs)
    least, most = rules.dimensions
    for noun, counts in (
        ("dimension", {name: used[name] for name in DIMENSIONS}),
        ("number of dimensions", {str(size): sizes[size] for size in range(least, most + 1)}),
    ):
        yield from _uneven(noun, counts, rules.balance)


def _uneven(noun: str, counts: Mapping[str, int], balance: float) -> Iterator[Fault]:
    mean = sum(counts.values()) / len(counts)
    for name, count in counts.items():
        if abs(count - mean) > balance * mean:
            yield Fault(None, "balance", f"{noun} {name!r} is used {count} times, the mean is {mean:.1f}")


def _repetition(pairs: Sequence[PromptPair], rules: Rules) -> Iterator[Fault]:
    for name, texts in (
        ("original", [pair.original for pair in pairs]),
        ("wide", [pair.wide for pair in pairs]),
    ):
        grams = [_grams(text, rules.gram) for text in texts]
        for one, other in combinations(range(len(pairs)), 2):
            if (share := _share(grams[one], grams[other])) > rules.shared:
                told = f"{name} shares {share:.0%} of its runs of {rules.gram} words with {pairs[one].id!r}"
                yield Fault(pairs[other].id, "near-duplicate", told)


def _grams(text: str, gram: int) -> frozenset[tuple[str, ...]]:
    said = words(text)
    # A text shorter than one run is one run, so that two equal short texts are duplicates too.
    return frozenset(said[start : start + gram] for start in range(max(1, len(said) - gram + 1)))


def _share(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> float:
    return len(one & other) / min(len(one), len(other))


def _idle_reviews(
    pairs: Sequence[PromptPair], lexicon: Lexicon | None, reviewed: Sequence[Reviewed]
) -> Iterator[Fault]:
    by_id = {pair.id: pair for pair in pairs}
    for entry in reviewed:
        pair = by_id.get(entry.id)
        told = lexicon.signals(pair.wide) if pair and lexicon else {}
        if pair is None or entry.dimension in pair.dimensions or (lexicon and entry.dimension not in told):
            yield Fault(entry.id, "reviewed", f"the exception for {entry.dimension!r} excuses nothing: remove it")


def _quoted(said: Sequence[str]) -> str:
    return " and ".join(f"'{part}'" for part in said)


def main(arguments: Sequence[str] | None = None, prog: str = "python -m aes_audit.prompts.validation") -> int:
    """Print the faults of a set and count them; 0 when there are none. Raises InvalidPrompts for a broken file."""
    parser = argparse.ArgumentParser(prog=prog, description=main.__doc__, allow_abbrev=False)
    parser.add_argument("prompts", help="a shipped set by name, or a .jsonl file")
    parser.add_argument("--other-language", action="store_true", help="not English: leave the lexicon out")
    typed = parser.parse_args(arguments)
    path = Path(typed.prompts) if typed.prompts.endswith(".jsonl") else prompt_set(typed.prompts)
    companion = read_companion(path.with_suffix(".toml"))
    prompts = read_prompt_set(typed.prompts)
    foreign = typed.other_language or (companion.language or "en").lower().split("-")[0] != "en"
    faults = set_faults(prompts.pairs, None if foreign else read_lexicon(), companion.reviewed)
    for fault in faults:
        print(fault)
    print(f"{prompts.name}: {len(prompts.pairs)} pairs, digest {prompts.digest[:12]}, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
