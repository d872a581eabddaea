"""Dimension judges that are image classifiers with one group of labels per dimension."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForImageClassification

from aes_audit.device import check_device
from aes_audit.prompts.dimensions import LEVELS
from aes_audit.rewards.images import SquareRecipe
from aes_audit.weights.loading import loading, refuse_random_weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = ["ClassifierJudge", "load_classifier_judge"]


@dataclass(frozen=True, slots=True)
class ClassifierJudge:
    """A loaded classifier whose labels are `<dimension>=<level>`."""

    model: Any
    """A transformers image classifier, in evaluation mode."""
    recipe: SquareRecipe
    """How images become pixels."""

    def probabilities(self, images: Sequence[Image], dimensions: Sequence[str]) -> NDArray[np.float64]:
        """Softmax within each dimension's three labels: shape (images, dimensions, 3).

        Raises ValueError for a dimension that the classifier has no labels for.
        """
        columns = self._columns(dimensions)
        with torch.inference_mode():
            logits = self.model(pixel_values=self.recipe.pixels(images).to(self.model.device)).logits
        grouped = logits.double().cpu()[:, columns].reshape(len(images), len(dimensions), len(LEVELS))
        result: NDArray[np.float64] = grouped.softmax(dim=-1).numpy()
        return result

    def score(self, images: Sequence[Image], dimensions: Sequence[str]) -> NDArray[np.float64]:
        """J = p(1) + 2 p(2), in [0, 2]: shape (images, dimensions). Source: PROTOCOL section 5, "Score"."""
        probabilities = self.probabilities(images, dimensions)
        result: NDArray[np.float64] = probabilities @ torch.tensor(LEVELS, dtype=torch.float64).numpy()
        return result

    def _columns(self, dimensions: Sequence[str]) -> list[int]:
        labels = self.model.config.label2id
        try:
            return [int(labels[f"{dimension}={level}"]) for dimension in dimensions for level in LEVELS]
        except KeyError as error:
            raise ValueError(f"the judge has no label {error.args[0]!r}; it knows {', '.join(labels)}.") from error


def load_classifier_judge(folder: Path, *, device: str) -> ClassifierJudge:
    """Load an image classifier folder in float32; raises InfrastructureError naming folder and cause."""
    check_device(device)
    what = f"judge folder {str(folder)!r}"
    with loading(what):
        model, info = AutoModelForImageClassification.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, dtype=torch.float32, output_loading_info=True
        )
        refuse_random_weights(what, info)
    return ClassifierJudge(model.eval().to(device), SquareRecipe.read(folder))
