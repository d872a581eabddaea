"""The built-in prompts for real models: what the set promises, and that the checks would notice a broken promise."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from aes_audit.errors import InvalidPrompts
from aes_audit.evidence.keys import item_seed
from aes_audit.prompts.companion import Companion, Reviewed, read_companion
from aes_audit.prompts.dimensions import DIMENSIONS
from aes_audit.prompts.lexicon import Lexicon, read_lexicon, words
from aes_audit.prompts.pairs import PromptPair, read_prompt_set
from aes_audit.prompts.validation import Fault, Rules, main, set_faults, shared_grams
from aes_audit.resources import prompt_set

WHOLE = read_prompt_set("wide_spectrum")
SMOKE = read_prompt_set("wide_spectrum_smoke")
COMPANION = read_companion(prompt_set("wide_spectrum").with_suffix(".toml"))
LEXICON = read_lexicon()

Pairs = tuple[PromptPair, ...]


def test_nothing_is_wrong_with_the_set() -> None:
    assert set_faults(WHOLE.pairs, LEXICON, COMPANION.reviewed) == ()
    assert len(WHOLE.pairs) == 300
    assert Counter(len(pair.dimensions) for pair in WHOLE.pairs) == {2: 100, 3: 100, 4: 100}


def test_ids_are_readable_slugs() -> None:
    assert [pair.id for pair in WHOLE.pairs if not re.fullmatch(r"[a-z]+(-[a-z]+)+", pair.id)] == []


def test_any_two_dimensions_meet_about_equally_often() -> None:
    met = Counter(two for pair in WHOLE.pairs for two in combinations(pair.dimensions, 2))
    assert len(met) == 55
    assert min(met.values()) >= 16
    assert max(met.values()) <= 20


@pytest.mark.parametrize("count", [24, 50, 100, 150, 200])
def test_the_beginning_of_the_set_is_as_balanced_as_the_whole(count: int) -> None:
    used = Counter(name for pair in WHOLE.pairs[:count] for name in pair.dimensions)
    assert max(used.values()) - min(used[name] for name in DIMENSIONS) <= 2


def test_the_smoke_part_is_the_beginning_so_that_a_full_run_finds_its_images_again() -> None:
    assert WHOLE.first(24) == SMOKE
    assert set_faults(SMOKE.pairs, LEXICON) == ()
    first = SMOKE.pairs[0].id
    assert item_seed(SMOKE.name, first) == item_seed(WHOLE.name, first)


def test_baselines_record_version_and_digest_of_what_was_used() -> None:
    assert WHOLE.provenance == {
        "name": "wide_spectrum",
        "pairs": 300,
        "digest": WHOLE.digest,
        "version": COMPANION.version,
    }
    assert SMOKE.provenance["version"] == COMPANION.version
    assert SMOKE.provenance["digest"] != WHOLE.digest
    assert "version" not in read_prompt_set("control_pairs").provenance
    assert COMPANION.licence == "Apache-2.0"


def test_the_lexicon_reads_prompts_that_it_was_not_written_with() -> None:
    """The captions of the drawn world come from a list of phrases elsewhere, so they test the lexicon's reach."""
    uses = [(pair, name) for pair in read_prompt_set("control_pairs").pairs for name in pair.dimensions]
    read = [name in LEXICON.signals(pair.wide) for pair, name in uses]
    assert sum(read) / len(read) >= 0.98


def test_a_dimension_more_or_less_is_noticed_for_every_pair() -> None:
    for pair in WHOLE.pairs:
        said = set(LEXICON.signals(pair.wide))
        for name in DIMENSIONS:
            claimed = set(pair.dimensions) ^ {name}
            assert claimed != said, (pair.id, name)


def test_prompts_that_changed_places_are_noticed() -> None:
    moved = WHOLE.pairs[1:] + WHOLE.pairs[:1]
    mixed = tuple(replace(pair, wide=other.wide) for pair, other in zip(WHOLE.pairs, moved, strict=True))
    caught = {fault.item for fault in set_faults(mixed, LEXICON) if fault.rule in ("leak", "unsignalled")}
    expected = {a.id for a, b in zip(WHOLE.pairs, moved, strict=True) if a.dimensions != b.dimensions}
    assert caught == expected
    assert len(expected) > 290


PAIR = next(pair for pair in SMOKE.pairs if pair.dimensions == ("background", "color brightness"))
OTHER = SMOKE.pairs[-1]


def one(change: Callable[[PromptPair], PromptPair]) -> Pairs:
    return tuple(change(pair) if pair is PAIR else pair for pair in SMOKE.pairs)


FAULTS: dict[str, tuple[Pairs, str | None, str, str]] = {
    "a long wide": (one(lambda p: replace(p, wide=p.wide + " so" * 30)), PAIR.id, "length", "wide has 81 words"),
    "a curt wide": (one(lambda p: replace(p, wide="dark, ugly backdrop")), PAIR.id, "length", "wide has 3 words"),
    "a curt original": (one(lambda p: replace(p, original="A cup of coffee")), PAIR.id, "length", "original has 4"),
    "a long original": (one(lambda p: replace(p, original="a cup " * 13)), PAIR.id, "length", "original has 26"),
    "an unchanged wide": (
        one(lambda p: replace(p, wide=f"{p.original.upper()}!")),
        PAIR.id,
        "near-duplicate",
        "wide and original are the same words",
    ),
    "one dimension": (one(lambda p: replace(p, dimensions=("background",))), PAIR.id, "dimensions", "1 selected"),
    "five dimensions": (one(lambda p: replace(p, dimensions=DIMENSIONS[:5])), PAIR.id, "dimensions", "5 selected"),
    "an effect that is missing": (
        one(lambda p: replace(p, dimensions=("background", "clarity", "color brightness"))),
        PAIR.id,
        "unsignalled",
        "no word of the wide prompt tells a reader about 'clarity'",
    ),
    "an effect too many": (
        one(lambda p: replace(p, wide=p.wide + " The whole photograph is badly blurred.")),
        PAIR.id,
        "leak",
        "'clarity' is not selected but signalled by 'blurred'",
    ),
    "an aesthetic original": (
        one(lambda p: replace(p, original="A barista pours milk in a gloomy coffee bar")),
        PAIR.id,
        "aesthetic",
        "the original signals 'color brightness' by 'gloomy'",
    ),
    "a copied wide": (
        one(lambda p: replace(p, wide=OTHER.wide)),
        OTHER.id,
        "near-duplicate",
        f"wide shares 100% of its runs of 4 words with '{PAIR.id}'",
    ),
    "a copied original": (
        one(lambda p: replace(p, original=OTHER.original)),
        OTHER.id,
        "near-duplicate",
        f"original shares 100% of its runs of 4 words with '{PAIR.id}'",
    ),
    "a neglected dimension": (
        tuple(pair for pair in SMOKE.pairs if "emotion" not in pair.dimensions),
        None,
        "balance",
        "dimension 'emotion' is used 0 times",
    ),
    "a neglected number": (
        tuple(pair for pair in SMOKE.pairs if len(pair.dimensions) != 3),
        None,
        "balance",
        "number of dimensions '3' is used 0 times",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named_with_the_pair_and_the_words(fault: str) -> None:
    pairs, item, rule, text = FAULTS[fault]
    found = set_faults(pairs, LEXICON)
    assert any(told.item == item and told.rule == rule and told.text.startswith(text) for told in found), found


def test_an_exception_excuses_its_leak_and_nothing_else() -> None:
    pairs = one(lambda p: replace(p, wide=p.wide + " He cuts the loaf with a blunt, crude knife."))
    needed = Reviewed(PAIR.id, "detail refinement", "the knife is crude, not the picture")
    assert [fault.rule for fault in set_faults(pairs, LEXICON)] == ["leak"]
    assert set_faults(pairs, LEXICON, [needed]) == ()
    for idle in (replace(needed, dimension="emotion"), replace(needed, id=OTHER.id), replace(needed, id="nobody")):
        told = set_faults(pairs, LEXICON, [needed, idle])
        assert told == (Fault(idle.id, "reviewed", f"the exception for '{idle.dimension}' excuses nothing: remove it"),)


def test_without_a_lexicon_only_form_is_checked() -> None:
    foreign = one(lambda p: replace(p, wide=" ".join(f"slovo{number}" for number in range(30))))
    assert set_faults(foreign, None) == ()
    assert {fault.rule for fault in set_faults(foreign, LEXICON)} == {"unsignalled"}


def test_shared_runs_are_counted_on_the_shorter_text() -> None:
    assert shared_grams("one two three four five", "One, two - three four! six", 4) == 1 / 2
    assert shared_grams("a b c d", "a b c d e f g h", 4) == shared_grams("a b c d e f g h", "a b c d", 4) == 1
    assert shared_grams("a b", "A B", 4) == 1
    assert shared_grams("a b", "a c", 4) == 0


def test_half_of_the_runs_may_be_shared_but_not_more() -> None:
    letters = "abcdefghijkl"
    base, half, more = (" ".join(text) for text in (letters, letters[:7] + "vwxyz", letters[:8] + "wxyz"))
    assert (shared_grams(base, half, 4), shared_grams(base, more, 4)) == (4 / 9, 5 / 9)
    rules = Rules(original=(1, 99), wide=(1, 99), dimensions=(1, 4), balance=99)
    for other, expected in ((half, []), (more, ["near-duplicate"])):
        pairs = (PromptPair("p", "an original", base, ("clarity",)), PromptPair("q", "another", other, ("clarity",)))
        assert [fault.rule for fault in set_faults(pairs, None, (), rules)] == expected


def test_words_are_told_apart_by_everything_but_apostrophes() -> None:
    assert words("A shop's “half-lit” CORNER; it\N{RIGHT SINGLE QUOTATION MARK}s 3 a.m.") == (
        *("a", "shop's", "half", "lit", "corner", "it's", "3", "a", "m"),
    )


@pytest.mark.parametrize(
    ("entry", "text", "read"),
    [
        ("blur*", "A BLURRED cat", True),
        ("blur", "a blurred cat", False),
        ("dim", "a dimple", False),
        ("no ... shadow*", "no cup on this table casts shadows", True),
        ("no ... shadow*", "no shadow", True),
        ("no ... shadow*", "no one of all the six cups casts shadows", False),
        ("ill matched", "ill-matched", True),
    ],
)
def test_stems_and_gaps_of_the_lexicon(entry: str, text: str, read: bool) -> None:
    assert bool(Lexicon({"clarity": {"signal": [entry]}}).signals(text)) == read


def test_a_dimension_with_two_lists_needs_a_word_of_each() -> None:
    lexicon = Lexicon({"background": {"where": ["behind"], "fault": ["ugly"]}})
    assert lexicon.signals("an ugly cat") == lexicon.signals("behind a cat") == {}
    assert lexicon.signals("behind an ugly cat") == {"background": ("behind", "ugly")}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[clarity", "cannot be read"),
        ("[clarity]\nsignal = ['blur']", "one table for each dimension"),
        ("\n".join(f'["{name}"]\nsignal = []' for name in DIMENSIONS), "'background' must hold lists"),
    ],
)
def test_a_broken_lexicon_is_refused_with_its_table(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "lexicon.toml").write_text(content)
    with pytest.raises(InvalidPrompts, match=rf"lexicon\.toml: .*{complaint}"):
        read_lexicon(tmp_path / "lexicon.toml")


LINES = "\n".join(
    f'{{"id": "p{number}", "original": "a cat", "wide": "a dark cat", "dimensions": ["clarity"]}}'
    for number in range(3)
)


def test_a_part_of_ones_own_set_is_named_beside_it(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text(LINES)
    (tmp_path / "mine.toml").write_text('version = "7"')
    (tmp_path / "few.toml").write_text('of = "mine"\nids = ["p2", "p0"]')
    part = read_prompt_set(str(tmp_path / "few.jsonl"))
    assert ([pair.id for pair in part.pairs], part.name, part.version) == (["p2", "p0"], "mine", "7")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("of = ", "cannot be read"),
        ('of = "mine"', "needs both keys, 'of' and 'ids'"),
        ('ids = ["p0"]', "needs both keys, 'of' and 'ids'"),
        ('of = "absent"\nids = ["p0"]', r"there is no absent\.jsonl"),
        ('of = "mine"\nids = ["p9"]', "'p9' is no id of prompt set 'mine'"),
        ('of = "mine"\nids = ["p0", "p0"]', "an id is listed twice"),
        ('of = "mine"\nids = "p0"', "key 'ids' must be a list, found 'p0'"),
        ('of = "mine"\nids = [7]', "key 'ids' must hold non-empty text, found 7"),
        ("version = 1", "key 'version' must hold non-empty text, found 1"),
        ('verson = "1"', "unknown key 'verson'"),
        ('reviewed = [{ id = "p0" }]', "an entry of 'reviewed' holds 'id', 'dimension' and 'reason'"),
        ('reviewed = [{ id = "p0", dimension = "clarty", reason = "r" }]', "unknown dimension 'clarty'"),
    ],
)
def test_a_broken_companion_is_one_line_with_the_file(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "mine.jsonl").write_text(LINES)
    (tmp_path / "few.toml").write_text(content)
    with pytest.raises(InvalidPrompts, match=rf"few\.toml: .*{complaint}") as raised:
        read_prompt_set(str(tmp_path / "few.jsonl"))
    assert "\n" not in str(raised.value)


def test_a_file_cannot_hold_pairs_and_be_a_part(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text(LINES)
    (tmp_path / "mine.toml").write_text('of = "mine"\nids = ["p0"]')
    with pytest.raises(InvalidPrompts, match=r"mine\.jsonl: holds pairs of its own"):
        read_prompt_set(str(tmp_path / "mine.jsonl"))


def test_reviewed_exceptions_are_read(tmp_path: Path) -> None:
    entry = Reviewed("p0", "emotion", "a sad clown by trade")
    path = tmp_path / "mine.toml"
    path.write_text(f'[[reviewed]]\nid = "{entry.id}"\ndimension = "{entry.dimension}"\nreason = "{entry.reason}"')
    assert read_companion(path) == Companion(reviewed=(entry,))


def test_the_documentation_quotes_the_set_as_it_is() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "prompts.md").read_text(encoding="utf-8")
    whole, smoke = (Counter(name for pair in pairs for name in pair.dimensions) for pairs in (WHOLE.pairs, SMOKE.pairs))
    rows = re.findall(r"^\| `([a-z ]+)` \|.*\| (\d+) \| (\d+) \|$", page, flags=re.MULTILINE)
    assert rows == [(name, str(whole[name]), str(smoke[name])) for name in DIMENSIONS]
    quoted = re.findall(r"^`(.+)`: (.+)\n> (.+)\n>\n> (.+)$", page, flags=re.MULTILINE)
    by_id = {pair.id: pair for pair in WHOLE.pairs}
    assert len(quoted) == 6
    for name, dimensions, original, wide in quoted:
        assert by_id[name] == PromptPair(name, original, wide, tuple(dimensions.split(", ")))


def test_the_command_prints_faults_and_counts_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wide_spectrum"]) == 0
    assert capsys.readouterr().out == f"wide_spectrum: 300 pairs, digest {WHOLE.digest[:12]}, 0 faults\n"
    (tmp_path / "mine.jsonl").write_text(LINES)
    assert main([str(tmp_path / "mine.jsonl")]) == 1
    assert "p0: unsignalled: no word of the wide prompt tells a reader about 'clarity'" in capsys.readouterr().out
