"""A small run as material for a page: an over-aligned model, its base, two rewards, a judge and pictures."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from aes_audit.evidence.table import Evidence
from aes_audit.gates.thresholds import Gate
from aes_audit.gates.verdicts import judge
from aes_audit.measures.registry import METRICS, measure
from aes_audit.prompts.pairs import PromptPair
from aes_audit.report.html.material import Material
from aes_audit.report.results import Entry, entry

__all__ = ["ALIGNED", "BASE", "JUDGE", "entry_of", "evidence_of", "material", "picture"]

ALIGNED, BASE, JUDGE = "org/aligned", "org/base", "preference/people"
REWARDS = ("pretty", "matching")


def evidence_of(items: Sequence[str], *, models: Sequence[str] = (ALIGNED, BASE), images: bool = True) -> Evidence:
    """Scores in which the aligned model follows every fourth prompt and its base every one."""
    return Evidence.from_rows(row for model in models for row in _rows(model, items, images))


def entry_of(evidence: Evidence, metric: str, scorer: str, *, base: str | None = None, **condition: float) -> Entry:
    """A measurement of the aligned model, judged by a gate of this condition."""
    gate = Gate("test", metric, **condition)  # type: ignore[arg-type]
    pooled = METRICS[metric].set == "pairs" and METRICS[metric].needs_truth
    truth = JUDGE if pooled else None
    found = measure(metric, evidence, model=ALIGNED, base_model=base, scorer=scorer, truth=truth)
    judged = entry(judge(found, gate, METRICS[metric].bad), f"audit_of_{metric}", None)
    subject = scorer if metric.startswith(("reward_", "prefers_")) else ALIGNED
    return {**judged, "subject": subject, "test": f"audits/test_{metric}.py::test_it[{subject}]", "outcome": "failed"}


def material(items: Sequence[str], texts: Mapping[str, PromptPair] | None = None, **about: Any) -> Material:
    """Failed success, quality shift and comparisons with the base, with texts and pictures."""
    evidence = evidence_of(items)
    entries = [
        entry_of(evidence, "success_rate", JUDGE, at_least=0.7),
        entry_of(evidence, "quality_shift", "pretty", at_most=-2.5),
        entry_of(evidence, "realignment_success", JUDGE, base=BASE, margin=0.15),
    ]
    run = {"profile": "test", "command": ["pytest", "audits/", "--model=a b", "--audit-json", "out.json", "-q"]}
    results = {"schema": 1, "run": run, "measurements": entries}
    known = {item: PromptPair(item, f"a cat {item}", f"a blurred cat {item}", ("clarity",)) for item in items}
    found = Material(results, evidence, known if texts is None else texts, lambda digest: picture(digest))
    return replace(found, **about)


def picture(digest: str, side: int = 24) -> bytes:
    """A picture of one colour, which depends on its digest."""
    raw = io.BytesIO()
    Image.new("RGB", (side, side), f"#{digest[:6]}").save(raw, format="PNG")
    return raw.getvalue()


def digest_of(model: str, item: str, image: str) -> str:
    """The digest that the evidence gives a picture."""
    return hashlib.sha256("\0".join((model, item, image)).encode()).hexdigest()


def _rows(model: str, items: Sequence[str], images: bool) -> Iterator[Mapping[str, Any]]:
    draw = np.random.default_rng(len(model))
    for number, item in enumerate(items):
        follows = model == BASE or number % 4 == 0
        common: dict[str, Any] = {"model": model, "set": "pairs", "item": item, "error": None}
        for image in ("original", "wide"):
            about = {**common, "image": image}
            if images:
                about |= {"image_sha256": digest_of(model, item, image), "image_fault": None}
            dropped = 3.0 if image == "wide" and follows else 0.0
            for prompt in ("original", "wide"):
                for reward in REWARDS:
                    value = 10.0 + float(draw.normal()) - dropped
                    yield {**about, "prompt": prompt, "scorer": reward, "value": value}
            yield {**about, "prompt": None, "scorer": "judge/clarity", "value": 1.0 - dropped / 3, "selected": True}
        yield {**common, "image": "pair", "prompt": "wide", "scorer": JUDGE, "value": float(follows)}
