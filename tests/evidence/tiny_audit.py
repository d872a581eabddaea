"""A whole audit of tiny models: what collects, what it finds, and what it leaves in the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Loaded here so that a fork server that preloads this module has paid for it.
from diffusers import StableDiffusion3Pipeline  # noqa: F401

from aes_audit.evidence.collecting import Instruments, collect_pairs
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.engines.protocol import Engine
from aes_audit.evidence.store import Store
from aes_audit.evidence.table import Evidence
from aes_audit.generators import pipeline  # noqa: F401
from aes_audit.generators.resolve import DiffusersModel, resolve_generator
from aes_audit.judges import classifier  # noqa: F401
from aes_audit.judges.preference import DimensionPreference, MatcherPreference
from aes_audit.judges.registry import ClassifierJudgeModel
from aes_audit.prompts.pairs import PromptPair, PromptSet
from aes_audit.rewards import clip  # noqa: F401
from aes_audit.rewards.registry import ClipRewardModel
from aes_audit.weights.pinned import resolve_weights
from aes_audit.weights.source import Source

PAIRS = (
    PromptPair("p1", "a cat", "a cat, blurred", ("clarity",)),
    PromptPair("p2", "a dog", "a sad grey dog", ("color aesthetic", "emotion")),
    PromptPair("p3", "a crab", "a crab in the dark", ("color brightness",)),
)
PROMPTS = PromptSet("tiny", PAIRS, "digest")


@dataclass(frozen=True)
class TinyAudit:
    """Where the models lie; it can be sent to another process."""

    pipeline: Path
    """A StableDiffusion3Pipeline folder."""
    clip: Path
    """A CLIPModel folder: one reward as it is, one scaled."""
    judge: Path
    """A classifier folder."""
    batch_size: int | None = None
    """Images per call of the pipeline."""

    @property
    def generator(self) -> DiffusersModel:
        """What draws."""
        return resolve_generator(str(self.pipeline), root=Path(), device="cpu", batch_size=self.batch_size)

    @property
    def rewards(self) -> tuple[ClipRewardModel, ClipRewardModel]:
        """The matcher, and the same CLIP as a scaled reward."""
        weights = resolve_weights(Source(self.clip), "config.json")
        return (
            ClipRewardModel("tiny/clip", weights, scaled=False, device="cpu"),
            ClipRewardModel("tiny/scaled", weights, scaled=True, device="cpu"),
        )

    @property
    def instruments(self) -> Instruments:
        """Everything that scores."""
        judge = ClassifierJudgeModel("tiny/judge", resolve_weights(Source(self.judge), "config.json"), "cpu")
        matcher = MatcherPreference("preference/tiny-clip", matcher="tiny/clip")
        return Instruments(self.rewards, judge, (matcher, DimensionPreference("preference/tiny-judge", tie=0.01)))

    def collect(self, store: Store | Path, engine: Engine | None = None) -> Evidence:
        """Everything about the three pairs."""
        opened = store if isinstance(store, Store) else Store(store)
        return collect_pairs(self.generator, PROMPTS, self.instruments, opened, engine or LocalEngine())


def contents(root: Path) -> Mapping[str, bytes]:
    """Every object of a store."""
    rooms = [root / room for room in ("blobs", "images", "scores")]
    files = [file for room in rooms for file in room.rglob("*") if file.is_file() and file.suffix != ".tmp"]
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}


def collect_to(audit: TinyAudit, root: Path, result: Path) -> None:
    """For another process: collect, and leave the table in a file."""
    audit.collect(root).to_parquet(result)
