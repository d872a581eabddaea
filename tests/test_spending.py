"""What a run may cost: said before anything is sent, without what the store holds already."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from aes_audit.errors import UsageError
from aes_audit.evidence.collecting import image_jobs
from aes_audit.evidence.keys import image_key, item_seed
from aes_audit.evidence.store import Store
from aes_audit.generators.hosted import resolve_hosted
from aes_audit.generators.hosted.model import HostedModel
from aes_audit.generators.protocol import ImageRequest, ResolvedGenerator
from aes_audit.generators.resolve import resolve_generator
from aes_audit.prompts.pairs import PromptPair, PromptSet
from aes_audit.spending import Spending

PROMPTS = PromptSet(
    "set", tuple(PromptPair(f"p{n}", f"a cat {n}", f"a sad cat {n}", ("emotion",)) for n in range(3)), "digest"
)


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's own key stays out of it."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def _model(**options: str) -> HostedModel:
    return resolve_hosted("openai:drawer", name="m", options=options)


def _requests(name: str) -> list[ImageRequest]:
    return [job.request for job in image_jobs(PROMPTS)]


def _fill(store: Store, model: HostedModel, *pairs: PromptPair) -> None:
    for pair in pairs:
        for text in (pair.original, pair.wide):
            key = image_key(model.identity, text, item_seed(PROMPTS.name, pair.id))
            store.put_missing_image(key, "refused", {})


def _header(spending: Spending, store: Store, models: Mapping[str, ResolvedGenerator]) -> list[str]:
    return list(spending.header(models, _requests, store))


def test_the_header_counts_what_the_store_lacks(tmp_path: Path) -> None:
    store, model, spending = Store(tmp_path), _model(price="0.25"), Spending(5.0, "run", tmp_path)
    said = "  m: {} images to make at $0.25 each cost up to {}, and up to {} if every answer without a picture must be "
    assert _header(spending, store, {"m": model}) == [said.format(6, "$1.50", "$4.50") + "repeated; budget $5.00"]
    _fill(store, model, PROMPTS.pairs[0])
    assert _header(spending, store, {"m": model}) == [said.format(4, "$1.00", "$3.00") + "repeated; budget $5.00"]
    _fill(store, model, *PROMPTS.pairs)
    assert _header(spending, store, {"m": model}) == ["  m: every image is in the store; budget $5.00"]


def test_an_unknown_price_and_a_missing_budget_are_said(tmp_path: Path) -> None:
    found = _header(Spending(None, "run", tmp_path), Store(tmp_path), {"m": _model()})
    assert found == ["  m: 6 images to make at an unknown price; no --audit-budget"]


def test_a_key_is_needed_only_where_images_are(tmp_path: Path) -> None:
    store, model, spending = Store(tmp_path), _model(price="0"), Spending(None, "run", tmp_path)
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        spending.refuse_unready({"m": model}, _requests, store)
    _fill(store, model, *PROMPTS.pairs)
    spending.refuse_unready({"m": model}, _requests, store)


def test_all_models_and_processes_of_a_run_draw_on_one_budget_and_runs_do_not(tmp_path: Path) -> None:
    here, there, later = (Spending(1.0, run, tmp_path) for run in ("a", "a", "b"))
    for spending in (here, there):
        paid = spending.paid(_model(price="0.4"))
        assert isinstance(paid, HostedModel)
        paid.budget.reserve(0.4).settle()
    assert here.record({"m": _model()}) == {"spending": {"budget_usd": 1.0, "spent_usd": pytest.approx(0.8)}}
    assert later.budget.spent_usd == 0


def test_what_runs_here_costs_nothing_and_is_left_alone(tmp_path: Path) -> None:
    control = resolve_generator("control/faithful", root=tmp_path, device="cpu")
    spending = Spending(0.0, "run", tmp_path)
    assert spending.paid(control) is control
    assert _header(spending, Store(tmp_path), {"c": control}) == []
    assert spending.record({"c": control}) == {}
