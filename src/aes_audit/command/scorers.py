"""Rewards on the command line: labelled, loaded when first asked, and never stopped by one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from aes_audit.command.ledger import Key, Ledger
from aes_audit.command.pictures import Picture
from aes_audit.errors import AesAuditError
from aes_audit.evidence.keys import digest
from aes_audit.rewards.protocol import Answer, ResolvedReward, Reward, answers
from aes_audit.rewards.registry import resolve_reward

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Scorer", "resolve_scorers"]


@dataclass(slots=True)
class Scorer:
    """One reward of a run."""

    label: str
    """The reward's name, or the spec as typed where two have the same name."""
    resolved: ResolvedReward
    """Pinned and not loaded."""
    key: str
    """Digest of what determines a score besides image and text, and of the device."""
    _loaded: Reward | None = field(default=None, init=False)
    _works: bool = field(default=False, init=False)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the numbers per pair, as far as the reward is loaded and says so."""
        return tuple(getattr(getattr(self._loaded, "architecture", None), "outputs", ()))

    @property
    def recipe(self) -> str:
        """Weights and recipe in one line, to print beside the scores."""
        recipe = self.resolved.identity.get("recipe", {})
        parts = [f"{key} {value}" for key, value in recipe.items()] if isinstance(recipe, Mapping) else [str(recipe)]
        return ", ".join([*parts, f"weights {self.resolved.revision}"])

    def answer(self, pictures: Sequence[Picture], ledger: Ledger) -> Mapping[Key, Answer]:
        """Answers to everything about these pictures that the ledger does not know.

        Raises what loading raises, and what the reward raises on every picture before it has answered once.
        """
        asked = [(picture, self._unknown(picture, ledger)) for picture in pictures if picture.image]
        asked = [(picture, texts) for picture, texts in asked if texts]
        if not asked:
            return {}
        if self._loaded is None:
            self._loaded = self.resolved.load()
        found = self._together(self._loaded, asked)
        self._works = self._works or any(answer.value is not None for answer in found.values())
        return found

    def _unknown(self, picture: Picture, ledger: Ledger) -> tuple[str, ...]:
        keys = (Key(self.key, picture.digest, text) for text in picture.group.texts)
        return tuple(key.text for key in keys if key not in ledger.answers)

    def _together(self, reward: Reward, asked: Sequence[tuple[Picture, tuple[str, ...]]]) -> dict[Key, Answer]:
        pairs = [(picture, text) for picture, texts in asked for text in texts]
        images: list[Image] = [picture.image for picture, _ in pairs if picture.image]
        try:
            values = answers(reward, images, [text for _, text in pairs])
        except Exception as error:  # a third party's reward may raise anything on a picture it does not expect
            if len(asked) > 1:
                return self._apart(reward, asked)
            if isinstance(error, AesAuditError) and not self._works:
                raise
            reason = f"the reward failed: {' '.join(str(error).split()) or type(error).__name__}"
            values = [Answer(None, reason)] * len(pairs)
        keys = (Key(self.key, picture.digest, text) for picture, text in pairs)
        return dict(zip(keys, values, strict=True))

    def _apart(self, reward: Reward, asked: Sequence[tuple[Picture, tuple[str, ...]]]) -> dict[Key, Answer]:
        """One picture at a time, to keep the answers about the others."""
        found: dict[Key, Answer] = {}
        failed: list[tuple[Picture, tuple[str, ...]]] = []
        for one in asked:
            try:
                found |= self._together(reward, [one])
                self._works = self._works or any(answer.value is not None for answer in found.values())
            except AesAuditError:
                failed.append(one)
        if failed and not self._works:
            # Not one picture could be scored: the reward is at fault, and says so in its own words.
            self._together(reward, failed[:1])
        for one in failed:
            found |= self._together(reward, [one])
        return found


def resolve_scorers(specs: Sequence[str], device: str, cache: Path | None) -> list[Scorer]:
    """Pin the rewards; raises UnknownName, ModelNotFound or UnsafeWeights. Imports no torch."""
    found: list[ResolvedReward] = [resolve_reward(spec, device=device, root=Path.cwd(), cache=cache) for spec in specs]
    names = [reward.name for reward in found]
    return [
        Scorer(
            reward.name if names.count(reward.name) == 1 else spec,
            reward,
            digest({"scorer": dict(reward.identity), "device": device}),
        )
        for spec, reward in zip(specs, found, strict=True)
    ]
