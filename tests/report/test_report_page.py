"""The page: what it says first, and that no text of a prompt, a name or an error becomes markup."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from report.audited_pairs import ALIGNED, JUDGE, entry_of, material

from aes_audit.prompts.pairs import PromptPair
from aes_audit.report.html.commands import command_of, options_of
from aes_audit.report.html.gallery import gallery
from aes_audit.report.html.material import Material, models_of
from aes_audit.report.html.page import page
from aes_audit.report.html.words import headline

ITEMS = [f"{number:02}" for number in range(12)]
HOSTILE = (
    "</script><img src=x onerror=alert(1)>]]></style><svg onload=alert(1)>",
    "<!--<script>\u2028'\"&lt;{{ 7 * 7 }}{% raw %}$\\frac{a}{b}$",
)


class Read(HTMLParser):
    """Elements, attributes, texts and the contents of scripts and styles, as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.inside: list[tuple[str, str]] = []
        self.text = ""
        self._last = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes += attrs
        self._last = tag

    def handle_data(self, data: str) -> None:
        if self._last in ("script", "style"):
            self.inside.append((self._last, data))
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        self._last = ""


def _page(source: Material) -> str:
    return page(source, gallery(source, {}), "Pictures.")[0]


def _named(text: str) -> Material:
    """A run in which everything that anyone else could have written is this text."""
    texts = {item: PromptPair(item, f"{text} {item}", f"wide {text} {item}", ("clarity",)) for item in ITEMS}
    source = material(ITEMS, texts)
    entries = [
        {**entry, "subject": text, "reason": text, "test": text, "base_model": entry["base_model"] and text}
        for entry in source.results["measurements"]
    ]
    run = {
        "profile": text, "device": text, "warnings": [text], "command": ["pytest", text],
        "models": {text: {"revision": text, "identity": {text: text}}},
        "prompts": {"name": text, "pairs": 12, "digest": text},
    }  # fmt: skip
    return replace(source, results={"schema": 1, "run": run, "measurements": entries}, next_command=text)


@cache
def _harmless() -> Counter[str]:
    return Read(_page(_named("harmless"))).elements


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_made_of_markup_stays_text_everywhere(text: str) -> None:
    _holds(text)


@settings(max_examples=3, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_any_text_stays_text_everywhere(text: str) -> None:
    _holds(text)


def _holds(text: str) -> None:
    read = Read(_page(_named(text)))
    assert read.elements == _harmless()
    assert not [name for name, _ in read.attributes if name.startswith("on") or name == "style"]
    data = json.loads(next(inside for tag, inside in read.inside if tag == "script"))
    assert {item["original"] for item in data["items"]} == {f"{text} {item}" for item in ITEMS}


def test_the_policy_allows_this_script_and_style_and_nothing_else() -> None:
    read = Read(_page(material(ITEMS)))
    policy = next(value for name, value in read.attributes if name == "content" and value and "default-src" in value)
    script = [inside for tag, inside in read.inside if tag == "script"][1:]
    for kind, parts in (("script", script), ("style", [inside for tag, inside in read.inside if tag == "style"])):
        digest = base64.b64encode(hashlib.sha256("".join(parts).encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert read.elements["script"] == 2


def test_the_first_screen_says_what_failed_by_how_much_and_shows_three_pairs() -> None:
    html = _page(material(ITEMS))
    text = Read(html).text
    first = text[text.index("FAIL:", text.index("Skip to")) : text.index("Every gate of this run")]
    assert first.startswith(f"FAIL: {ALIGNED} is aesthetically over-aligned")
    for said in (
        "2 of 3 gates failed",
        "Follows the prompt in 25.0% of pairs",
        "missed by 45.0 points",
        "Follows prompts 75.0 points less often than its base",
        " points]",
        "within 15.0 points of its base",
        "3 pairs that show it",
    ):
        assert said in first
    assert html.count('<h3 id="proof-') == 3


@pytest.mark.parametrize(
    ("change", "title"),
    [
        ({"verdict": "pass", "outcome": "passed"}, "PASS: {} keeps to what was asked, by every gate of this run"),
        ({"verdict": "error"}, "ERROR: {} could not be measured"),
        ({"verdict": "inconclusive"}, "INCONCLUSIVE: {} may or may not be over-aligned: the numbers leave both open"),
        ({"verdict": "pass", "baseline": {"verdict": "fail"}}, "FAIL: {} is worse than its baseline"),
        ({"metric": "image_faults"}, "FAIL: {} does not draw what was planned"),
        ({"metric": "reward_auroc", "subject": "r"}, "FAIL: r does not reward what was asked for"),
    ],
)  # fmt: skip
def test_the_headline_claims_no_more_than_the_verdicts(change: dict[str, Any], title: str) -> None:
    entries = [{**entry, **change} for entry in material(ITEMS).entries]
    assert headline(entries).title == title.format(ALIGNED)


def test_an_interrupted_run_says_so() -> None:
    source = material(ITEMS)
    cut = {"schema": 1, "run": {"interrupted": True}, "measurements": []}
    html = _page(replace(source, results=cut, evidence=None))
    assert "Interrupted." in html
    assert "The run was interrupted before the first verdict." in html


def test_each_number_has_the_command_that_makes_it_again() -> None:
    entry = material(ITEMS).entries[0]
    run = {
        "command": ["pytest", "audits/", "--model=a b", "--base-model", "c", "--audit-json", "o.json", "-q", "-n", "2"]
    }
    test = entry["test"]
    assert command_of(entry, run) == f"pytest '{test}' '--model=a b' --base-model c"
    assert options_of(["--audit-require-pinned", "audits/", "--audit-report=r"]) == ("--audit-require-pinned",)


def test_pooled_models_are_told_apart_also_where_a_name_holds_a_plus() -> None:
    source = material(ITEMS)
    assert source.evidence is not None
    entry = entry_of(source.evidence, "reward_auroc", "pretty", at_least=0.7)
    frame = source.evidence.frame
    frame["model"] = frame["model"].replace({ALIGNED: "a+lora=b", "org/base": "a"})
    from aes_audit.evidence.table import Evidence

    table = Evidence(frame)
    assert models_of({**entry, "model": "a+lora=b+a"}, table) == ("a+lora=b", "a")
    assert models_of({**entry, "model": "a+lora=b"}, table) == ("a+lora=b",)
    assert JUDGE in str(entry["details"])
