"""Planning costs seconds at most, however many models and pairs a run has: nothing is loaded to plan it."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from aes_audit.evidence.engines.spec import EngineSpec
from aes_audit.evidence.progress import Progress
from aes_audit.live.session import LiveSession
from aes_audit.opening import open_session
from aes_audit.options import AuditConfig
from aes_audit.resources import control_folder, packaged_thresholds, prompt_set


@pytest.fixture
def models(tmp_path: Path) -> list[str]:
    """Ten folders as large as a control, each with other weights."""
    names = [f"./model{number}" for number in range(10)]
    for number, name in enumerate(names):
        folder = Path(shutil.copytree(control_folder("faithful"), tmp_path / name))
        (folder / "aes_audit.json").write_text(json.dumps({"call": {"num_inference_steps": number + 1}}))
    return names


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """The controls' pairs twice: 300 pairs."""
    lines = [json.loads(line) for line in prompt_set("control_pairs").read_text().splitlines()]
    again = [{**line, "id": f"again {line['id']}"} for line in lines]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in [*lines, *again]))
    return path


def test_ten_models_and_three_hundred_pairs_are_planned_in_two_seconds(
    models: list[str], prompts: Path, tmp_path: Path
) -> None:
    thresholds = tmp_path / "thresholds.toml"
    packaged = packaged_thresholds().read_text()
    thresholds.write_text(
        packaged.replace('prompts = "control_pairs"', f'prompts = "{prompts}"').replace("pairs = 150", "pairs = 300")
    )
    config = AuditConfig(
        models=tuple(models[1:]), base_model=models[0], rewards=(), judges=(), profile="control", evidence=None,
        engine=EngineSpec("local"), json_path=None, store=str(tmp_path / "store"), inconclusive="fail",
        early_stop="curtail", thresholds=thresholds, baselines=tmp_path / "baselines", device="cpu",
        batch_size=None, pairs=None, rootdir=tmp_path,
    )  # fmt: skip

    def plan() -> tuple[LiveSession, float]:
        start = time.process_time()
        session = open_session(config, Progress())
        _ = (session.header(), session.provenance())
        assert isinstance(session, LiveSession)
        return session, time.process_time() - start

    cold, _ = plan()
    warm, seconds = plan()
    assert [model.revision for model in warm.generators.values()] == [
        model.revision for model in cold.generators.values()
    ]
    assert set(models) <= warm.generators.keys()
    assert len(warm.prompts.pairs) == 300
    assert {case.models for case in warm.cases} == {(name,) for name in models[1:]}
    assert seconds < 2, f"{seconds:.2f} s of processor time"
