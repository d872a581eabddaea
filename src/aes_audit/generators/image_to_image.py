"""Image-to-image with diffusers: the pipeline that belongs to a text-to-image pipeline, over the same weights."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from PIL import Image

from aes_audit.errors import MissingScores
from aes_audit.generators.drawing import DiffusersGenerator
from aes_audit.generators.editing import EditRequest, ResolvedEditor
from aes_audit.generators.guidance import call_value
from aes_audit.generators.pipeline import load_pipeline
from aes_audit.generators.protocol import ImageRequest
from aes_audit.weights.loading import quiet_libraries

__all__ = ["DiffusersEditor", "load_editor"]

_SIZE = frozenset({"height", "width"})


class DiffusersEditor(DiffusersGenerator):
    """A loaded pipeline that edits: texts, seeds, batches and memory are those of the text-to-image model."""

    def __init__(self, drawing: DiffusersGenerator, editor: ResolvedEditor) -> None:
        """Take over a loaded text-to-image model; raises MissingScores where it cannot edit as it draws."""
        super().__init__(drawing.pipeline, drawing.model)
        # The VAE that would decode one batch encodes the next.
        self._decoder = None
        self.editor = editor
        self.editing = _image_to_image(editor, drawing.pipeline)
        self._taken = _defaults(self.editing)
        _refuse_other_settings(editor, self.pipeline, self._call, self._taken.keys())
        # Settings that nobody chose are the text-to-image pipeline's: the other has defaults of its own, Flux a
        # guidance of 7.0 in place of 3.5.
        own = _defaults(self.pipeline)
        self._unchosen = {name: own[name] for name in own.keys() & self._taken.keys() if own[name] != self._taken[name]}

    def _run(self, requests: Sequence[ImageRequest], arguments: Mapping[str, Any]) -> Any:
        size = _size(self.pipeline, arguments)
        pictures = [_fitted(request, size) for request in requests]
        given = {name: value for name, value in arguments.items() if name in self._taken}
        return self.editing(**{**self._unchosen, **given, "image": pictures, "strength": self.editor.strength})


def load_editor(editor: ResolvedEditor) -> DiffusersEditor:
    """Load a pinned editor onto its device; no weights besides the model's.

    Raises InfrastructureError as loading the model does, MissingScores where diffusers cannot edit with it.
    """
    return DiffusersEditor(load_pipeline(editor.model), editor)


def _image_to_image(editor: ResolvedEditor, pipeline: Any) -> Any:
    with quiet_libraries():
        # The first import of every pipeline there is: what their processors miss concerns none of ours.
        from diffusers import AutoPipelineForImage2Image
    kind = type(pipeline).__name__
    try:
        editing = AutoPipelineForImage2Image.from_pipe(pipeline)
    except ValueError:
        raise MissingScores(f"{editor.name}: diffusers has no image-to-image pipeline for a {kind}.") from None
    if "strength" not in _defaults(editing):
        raise MissingScores(f"{editor.name}: a {type(editing).__name__} edits by instruction and takes no strength.")
    editing.set_progress_bar_config(disable=True)
    return editing


def _refuse_other_settings(
    editor: ResolvedEditor, pipeline: Any, call: Mapping[str, Any], taken: Collection[str]
) -> None:
    """Raise MissingScores where the model would have to edit with other settings than it draws with."""
    if foreign := sorted(call.keys() - {*taken} - _SIZE):
        raise MissingScores(f"{editor.name}: its setting {foreign[0]} cannot be kept, image-to-image takes none.")
    steps = call_value(pipeline, call, "num_inference_steps")
    if steps is not None and int(steps * editor.strength) < 1:
        raise MissingScores(f"{editor.name}: {steps} step leaves nothing to draw anew at strength {editor.strength:g}.")


def _defaults(pipeline: Any) -> dict[str, Any]:
    """Named arguments of the pipeline call, with their defaults."""
    parameters = inspect.signature(type(pipeline).__call__).parameters.values()
    return {one.name: one.default for one in parameters if one.name != "self" and one.kind is one.POSITIONAL_OR_KEYWORD}


def _size(pipeline: Any, arguments: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height of what the model draws; None where its pipeline alone knows."""
    width, height = arguments.get("width"), arguments.get("height")
    if width and height:
        return int(width), int(height)
    if side := getattr(pipeline, "default_sample_size", None):
        return (side * pipeline.vae_scale_factor,) * 2
    return None


def _fitted(request: ImageRequest, size: tuple[int, int] | None) -> Image.Image:
    if not isinstance(request, EditRequest):
        raise TypeError(f"an editor needs a picture, {request!r} has none")
    picture = request.picture.open().convert("RGB")
    if size is None or picture.size == size:
        return picture
    return picture.resize(size, Image.Resampling.LANCZOS)
