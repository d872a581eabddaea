"""The judges that have a name. Adding one is one entry here. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aes_audit.errors import UnknownName
from aes_audit.judges.image_preference import HostedPreference
from aes_audit.judges.image_preference_spec import NAMED, is_hosted_judge, resolve_image_preference
from aes_audit.judges.preference import DimensionPreference, MatcherPreference
from aes_audit.resources import control_folder
from aes_audit.weights.pinned import Weights, resolve_weights
from aes_audit.weights.source import Source

if TYPE_CHECKING:
    from aes_audit.judges.classifier import ClassifierJudge

__all__ = ["JUDGES", "PREFERENCES", "ClassifierJudgeModel", "resolve_judge", "resolve_preference"]

JUDGES: dict[str, Source] = {"control/judge": Source(folder=control_folder("judge"))}
"""Dimension judges, J(image, dimension)."""

PREFERENCES: dict[str, MatcherPreference | DimensionPreference] = {
    "preference/control-clip": MatcherPreference("preference/control-clip", matcher="control/clip"),
    # A quarter of a level on one dimension is within what the judge varies between two drawings of one prompt.
    "preference/control-judge": DimensionPreference("preference/control-judge", tie=0.25),
}
"""Preference judges: which of two images follows p_a better."""


@dataclass(frozen=True, slots=True)
class ClassifierJudgeModel:
    """A dimension judge, pinned and not loaded."""

    name: str
    """The judge's own name."""
    weights: Weights
    """The classifier's folder."""
    device: str
    """Where it runs."""

    @property
    def revision(self) -> str:
        """Commit or content digest."""
        return self.weights.revision

    @property
    def identity(self) -> Mapping[str, Any]:
        """Weights and recipe."""
        recipe = {"image": "square-bicubic", "dtype": "float32", "score": "p1+2p2"}
        return {"kind": "classifier-judge", "weights": self.weights.identity, "recipe": recipe}

    def load(self) -> ClassifierJudge:
        """Load the weights; raises InfrastructureError."""
        from aes_audit.judges.classifier import load_classifier_judge

        return load_classifier_judge(self.weights.folder(), device=self.device)


def resolve_judge(name: str, *, device: str, cache: Path | None = None) -> ClassifierJudgeModel:
    """Pin the dimension judge with this name; raises UnknownName or ModelNotFound."""
    if name not in JUDGES:
        raise UnknownName("dimension judge", name, JUDGES)
    return ClassifierJudgeModel(name, resolve_weights(JUDGES[name], "config.json", cache), device)


def resolve_preference(name: str) -> MatcherPreference | DimensionPreference | HostedPreference:
    """The preference judge that a SPEC means: a name, with or without `preference/`, or one behind an endpoint.

    Raises UnknownName or UsageError.
    """
    if is_hosted_judge(name):
        return resolve_image_preference(name)
    full = name if name.startswith("preference/") else f"preference/{name}"
    if full not in PREFERENCES:
        raise UnknownName("judge", name, [*PREFERENCES, *NAMED, "openai:MODEL@URL"])
    return PREFERENCES[full]
