"""Judges that look, on the way of every run: rows, stops, resuming, repeats, and a real vision-language model."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from endpoints.hosts import Asked, Sent
from evidence.noise_generator import NoiseGenerator
from judges.lookers import answer, brighter, judge_at, lookers_host, shown
from PIL import Image

from aes_audit.endpoints.address import read_address
from aes_audit.errors import InfrastructureError
from aes_audit.evidence.collecting import collect_pairs
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.measuring import Instruments
from aes_audit.evidence.reading import read_evidence
from aes_audit.evidence.rescoring import RescoringStore
from aes_audit.evidence.store import Store
from aes_audit.evidence.table import Evidence
from aes_audit.generators.protocol import Answer, ImageRequest, MissingImage
from aes_audit.judges.image_preference import HostedPreference
from aes_audit.measures.registry import measure
from aes_audit.prompts.pairs import PromptPair, PromptSet

PROMPTS = PromptSet(
    "looked-at", tuple(PromptPair(f"p{n:02}", f"a cat {n}", f"a bright cat {n}", ("clarity",)) for n in range(20)), "d"
)


@dataclass
class Painter(NoiseGenerator):
    """Paints in the dark, and brightly where the text says so; where it does not heed the text, darker still."""

    heeds: int = 20
    """Only so many wide prompts, by their number."""

    def generate(self, requests: Sequence[ImageRequest]) -> list[Answer]:
        """Grey noise in the dark or the bright half."""
        return [self._painted(one, noise) for one, noise in zip(requests, super().generate(requests), strict=True)]

    def _painted(self, request: ImageRequest, noise: Answer) -> Answer:
        if isinstance(noise, MissingImage) or not isinstance(noise, Image.Image):
            return noise
        bright = "bright" in request.prompt and int(request.prompt.split()[-1]) < self.heeds
        share, lift = (4, 180) if bright else (8, 0) if "bright" in request.prompt else (4, 0)
        return noise.point(lambda value: value // share + lift)


def collect(
    judges: Sequence[HostedPreference],
    store: Store,
    painter: NoiseGenerator | None = None,
    engine: LocalEngine | None = None,
    **more: Any,
) -> Evidence:
    """The evidence of a painter by judges that look and by nothing else."""
    instruments, prompts = Instruments((), None, (), tuple(judges)), more.pop("prompts", PROMPTS)
    return collect_pairs(painter or Painter(), prompts, instruments, store, engine or LocalEngine(), **more)


def test_every_pair_gets_a_row_with_the_answers_in_either_order(tmp_path: Path) -> None:
    with lookers_host() as host:
        evidence = collect([judge_at(host)], Store(tmp_path), Painter(heeds=15))
    frame = evidence.frame
    assert set(zip(frame["image"], frame["prompt"], frame["scorer"], strict=True)) == {
        ("pair", "wide", "preference/looker")
    }
    found = measure("success_rate", evidence, model="noise")
    assert (found.n, found.missing, found.estimate) == (20, 0, 15 / 20)
    assert found.details["position"]["followed_position"] == 0.0
    evidence.to_parquet(tmp_path / "e.parquet")
    assert measure("success_rate", read_evidence(tmp_path / "e.parquet"), model="noise") == found


def test_a_judge_that_looks_at_the_place_alone_is_found_out(tmp_path: Path) -> None:
    with lookers_host(lambda asked: answer(0)) as host:
        found = measure("success_rate", collect([judge_at(host)], Store(tmp_path)), model="noise")
    assert (found.estimate, found.details["ties"]) == (0.0, 20)
    assert (found.details["position"]["followed_position"], found.details["position"]["first_share"]) == (1.0, 1.0)


def test_a_second_run_asks_nobody_and_finds_the_same(tmp_path: Path) -> None:
    with lookers_host() as host:
        judge = judge_at(host)
        first = collect([judge], Store(tmp_path))
        asked = len(host.asked)
        assert collect([judge], Store(tmp_path)) == first
    assert asked == len(host.asked) == 40


def test_a_rate_that_is_settled_stops_the_questions_with_the_images(tmp_path: Path) -> None:
    seen: list[int] = []

    def enough(outcomes: Mapping[str, list[bool | None]]) -> bool:
        seen.append(len(outcomes["preference/looker"]))
        return seen[-1] >= 16

    painter = Painter()
    with lookers_host() as host:
        evidence = collect([judge_at(host)], Store(tmp_path), painter, stop=enough)
    assert seen == [16]
    assert len(evidence) == 16
    assert len(host.asked) == 32
    assert sum(map(len, painter.calls)) == 32


class ManyHands(LocalEngine):
    """Wants four rounds at once, as an engine with four workers."""

    workers = 4


class PaidPainter(Painter):
    """Somebody sends a bill for every picture."""

    price = 0.04


class Faint(Painter):
    """Ends at the eighteenth pair."""

    def generate(self, requests: Sequence[ImageRequest]) -> list[Answer]:
        """Paint, or end."""
        if any(request.prompt.endswith("cat 17") for request in requests):
            raise InfrastructureError("noise: no colours left.")
        return super().generate(requests)


@pytest.mark.parametrize(("painter", "drawn"), [(Painter(), 40), (PaidPainter(), 32)])
def test_nobody_is_paid_for_rounds_that_a_stop_may_spare(tmp_path: Path, painter: Painter, drawn: int) -> None:
    with lookers_host() as host:
        collect([judge_at(host)], Store(tmp_path), painter, ManyHands(), stop=lambda _: True)
    assert len(host.asked) == 32
    assert sum(map(len, painter.calls)) == drawn


def test_what_fails_in_a_round_that_a_stop_spares_fails_nothing(tmp_path: Path) -> None:
    with lookers_host() as host:
        evidence = collect([judge_at(host)], Store(tmp_path), Faint(), ManyHands(), stop=lambda _: True)
    assert len(evidence) == 16


def test_missing_images_are_missing_answers(tmp_path: Path) -> None:
    painter = Painter(answers={"a bright cat 3": MissingImage("it would not", kind="refused")})
    with lookers_host() as host:
        evidence = collect([judge_at(host)], Store(tmp_path), painter)
    (row,) = evidence.frame[evidence.frame["error"].notna()].to_dict("records")
    assert (row["item"], row["error"]) == ("p03", "wide: it would not")
    assert len(host.asked) == 38


def test_several_judges_are_asked_and_their_agreement_is_measured(tmp_path: Path) -> None:
    def fussy(asked: Asked) -> Sent:
        # Calls every third description a tie.
        text = asked.body["messages"][-1]["content"][-1]["text"]
        return answer(-1) if int(text.split()[-1]) % 3 == 0 else brighter(asked)

    with lookers_host() as one, lookers_host(fussy) as other:
        judges = [judge_at(one), replace(judge_at(other), name="preference/fussy")]
        evidence = collect(judges, Store(tmp_path), Painter(heeds=12))
    found = measure(
        "preference_agreement", evidence, model="noise", scorer="preference/looker", truth="preference/fussy"
    )
    assert found.n == 20
    assert found.details["untied_accuracy"] == 1.0
    assert found.details["ties"][1] == 7
    assert 0.3 < (found.estimate or 0.0) < 1.0


def test_calibrating_by_rescoring_asks_again_about_the_same_images(tmp_path: Path) -> None:
    with lookers_host() as host:
        first = collect([judge_at(host)], Store(tmp_path / "store"))
        again = collect([judge_at(host)], RescoringStore(tmp_path / "store", tmp_path / "fresh"))
    assert again == first
    assert len(host.asked) == 2 * 40


def test_one_order_is_the_same_for_every_model(tmp_path: Path) -> None:
    few = replace(PROMPTS, pairs=PROMPTS.pairs[:12])
    orders: list[list[bool]] = []
    with lookers_host() as host:
        for painter in (Painter(), Painter(heeds=0, name="other", size=24)):
            evidence = collect([judge_at(host, orders="one")], Store(tmp_path / painter.name), painter, prompts=few)
            orders.append(list(evidence.frame.sort_values("item")["answer_wide_first"].notna()))
    assert orders[0] == orders[1]
    assert len(set(orders[0])) == 2


def test_a_real_vision_language_model_behind_the_protocol_gives_valid_rows(tiny_qwen: Path, tmp_path: Path) -> None:
    from judges.served_model import serving_model

    few = replace(PROMPTS, pairs=PROMPTS.pairs[:4])
    with serving_model(tiny_qwen) as host:
        address = read_address(f"{host.url}/v1")
        judge = HostedPreference("preference/tiny-qwen", "tiny", address)
        evidence = collect([judge], Store(tmp_path), prompts=few)
        assert evidence.frame["error"].isna().all()
        assert set(evidence.frame["value"]) <= {0.0, 0.5, 1.0}
        assert len(host.asked) == 8
        assert all(len(shown(one)) == 2 for one in host.asked)
        assert collect([judge], Store(tmp_path), prompts=few) == evidence
        assert len(host.asked) == 8


def test_a_real_model_that_babbles_is_missing_and_not_a_guess(tiny_qwen: Path, tmp_path: Path) -> None:
    from judges.served_model import serving_model

    few = replace(PROMPTS, pairs=PROMPTS.pairs[:1])
    with serving_model(tiny_qwen) as host:
        judge = HostedPreference(
            "preference/tiny-qwen", "tiny", read_address(f"{host.url}/v1"), schema=False, max_tokens=4
        )
        (row,) = collect([judge], Store(tmp_path), prompts=few).frame.to_dict("records")
    assert "(5 answers)" in row["error"]
    assert len(host.asked) == 10


def test_the_pictures_sent_are_those_that_were_drawn(tmp_path: Path) -> None:
    few = replace(PROMPTS, pairs=PROMPTS.pairs[:1])
    with lookers_host() as host:
        collect([judge_at(host, limits={"concurrency": 1})], Store(tmp_path), prompts=few)
    first, second = (Image.open(io.BytesIO(png)) for png in shown(host.asked[0]))
    assert first.size == second.size == (16, 16)
    assert sum(second.convert("L").histogram()[128:]) == 256
