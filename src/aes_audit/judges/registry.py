"""Which judge a SPEC means: one that has a name, a folder or repository, or a hosted model. Imports no torch.

Adding a name is one entry here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aes_audit.controls.renderer import TRUTH, TruthModel
from aes_audit.errors import ModelNotFound, UnknownName, UsageError
from aes_audit.judges.endpoint_model import EndpointJudgeModel, resolve_endpoint_judge
from aes_audit.judges.image_preference import HostedPreference
from aes_audit.judges.image_preference_spec import NAMED, is_hosted_judge, resolve_image_preference
from aes_audit.judges.preference import DimensionPreference, MatcherPreference
from aes_audit.judges.spec import parse_judge
from aes_audit.judges.vision_language import QwenJudgeModel, resolve_qwen_judge
from aes_audit.resources import control_folder
from aes_audit.weights.hub import download
from aes_audit.weights.pinned import Weights, resolve_weights
from aes_audit.weights.source import Source, parse_source

if TYPE_CHECKING:
    from aes_audit.judges.classifier import ClassifierJudge

__all__ = [
    "JUDGES",
    "PREFERENCES",
    "ClassifierJudgeModel",
    "DimensionJudgeModel",
    "resolve_judge",
    "resolve_preference",
]

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

    @property
    def warnings(self) -> tuple[str, ...]:
        """Nothing that a reader of its scores must know."""
        return ()

    @property
    def sources(self) -> tuple[Weights, ...]:
        """The classifier."""
        return (self.weights,)

    @property
    def batch_size(self) -> int | None:
        """Any number of images is scored at once."""
        return None

    def load(self) -> ClassifierJudge:
        """Load the weights; raises InfrastructureError."""
        from aes_audit.judges.classifier import load_classifier_judge

        return load_classifier_judge(self.weights.folder(), device=self.device)


DimensionJudgeModel = ClassifierJudgeModel | QwenJudgeModel | EndpointJudgeModel | TruthModel
"""A dimension judge of any kind, pinned and not loaded."""


def resolve_judge(
    name: str, *, device: str, root: Path | None = None, cache: Path | None = None
) -> DimensionJudgeModel:
    """Pin the dimension judge that a SPEC means; docs/judge.md says what it may be.

    `root` is what relative folders refer to (the current folder when None), `cache` as in `fingerprint`. Raises
    UnknownName, UsageError or ModelNotFound.
    """
    root = root or Path()
    spec = parse_judge(name, root)
    if spec.base.startswith("openai:"):
        return resolve_endpoint_judge(spec, root)
    if name == TRUTH:
        return TruthModel()
    source = JUDGES.get(spec.base) or parse_source(spec.base, root)
    # A name that was mistyped looks like a repository.
    if source is None or (source.repo or "").startswith("control/"):
        raise UnknownName("dimension judge", spec.base, [*JUDGES, TRUTH])
    weights = resolve_weights(source, "config.json", cache)
    kind, classes = _kind(spec.base, weights)
    if kind == "qwen3_vl":
        return resolve_qwen_judge(spec, weights, root=root, device=device, cache=cache)
    if not any(name.endswith("ForImageClassification") for name in classes):
        raise ModelNotFound(
            f"judge {spec.base!r} is a {kind} ({', '.join(classes) or 'of no class'}): a dimension judge is a qwen3_vl "
            "or an image classifier with the labels <dimension>=<level>."
        )
    if spec.options or spec.loras:
        raise UsageError(f"judge {name!r}: an image classifier takes neither options nor adapters.")
    return ClassifierJudgeModel(name, weights, device)


def _kind(base: str, weights: Weights) -> tuple[str, tuple[str, ...]]:
    """Model type and classes, from the configuration alone: a repository's other files are not fetched yet."""
    source, files = weights.source, ["config.json"]
    folder = source.folder or download(str(source.repo), weights.revision, source.revision, files)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return str(config.get("model_type")), tuple(map(str, config.get("architectures") or ()))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ModelNotFound(f"judge {base!r}: its config.json cannot be read: {error}.") from error


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
