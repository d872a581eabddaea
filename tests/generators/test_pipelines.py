"""Every pipeline class of the zoo, tiny and of random weights, through the code that loads and draws real ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers.utils import logging as diffusers_log
from generators.tiny_pipelines import PIPELINES
from numpy.typing import NDArray
from PIL import Image

from aes_audit.errors import InfrastructureError, UsageError
from aes_audit.generators.pipeline import DiffusersGenerator
from aes_audit.generators.protocol import ImageRequest
from aes_audit.generators.resolve import resolve_generator

TEXTS = ("a cat", "a very very long crocodile", "dogs", "a cat")
REQUESTS = [ImageRequest(text, seed) for seed, text in enumerate(TEXTS)]
# What makes each pipeline contrast the prompt with a negative one.
GUIDED: dict[str, dict[str, float]] = {"flux": {"true_cfg_scale": 3.0}, "qwen-image": {"true_cfg_scale": 3.0}}

Saved = Callable[..., Path]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """`saved(kind, **call)`: the folder of a tiny pipeline with these settings of its call, written once."""
    folders: dict[str, Path] = {}

    def folder(kind: str, **call: Any) -> Path:
        key = json.dumps([kind, call])
        if key not in folders:
            folders[key] = PIPELINES[kind](tmp_path_factory.mktemp("pipelines") / kind, **call)
        return folders[key]

    return folder


def load(spec: Path | str, batch_size: int | None = None) -> DiffusersGenerator:
    """A loaded generator."""
    return resolve_generator(str(spec), root=Path("/nowhere"), device="cpu", batch_size=batch_size).load()


def draw(generator: DiffusersGenerator, *requests: ImageRequest) -> list[NDArray[np.int16]]:
    """Pixels, wide enough to be subtracted."""
    images = generator.generate(requests)
    assert all(isinstance(image, Image.Image) and image.size == (32, 32) for image in images)
    return [np.asarray(image).astype(np.int16) for image in images]


def drawn_from_text(folder: Path, request: ImageRequest, **more: Any) -> NDArray[np.int16]:
    """What plain diffusers makes of the prompt, all by itself."""
    diffusers_log.set_verbosity_error()
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    call = json.loads((folder / "aes_audit.json").read_text())["call"]
    noise = torch.Generator("cpu").manual_seed(request.seed)
    (image,) = pipeline(request.prompt, generator=noise, **call, **more).images
    return np.asarray(image).astype(np.int16)


@contextmanager
def counted_forwards(module: torch.nn.Module) -> Iterator[list[int]]:
    """Batch sizes of the calls of a module while the block runs."""
    calls: list[int] = []

    def seen(_: Any, words: tuple[Any, ...], named: dict[str, Any]) -> None:
        calls.append(len(named["input_ids"] if "input_ids" in named else words[0]))

    handle = module.register_forward_pre_hook(seen, with_kwargs=True)
    try:
        yield calls
    finally:
        handle.remove()


@pytest.mark.parametrize("kind", PIPELINES)
class TestEveryClass:
    """What holds for each of them."""

    def test_an_image_is_the_same_in_any_batch_and_any_order(self, saved: Saved, kind: str) -> None:
        drawer = load(saved(kind))
        together = draw(drawer, *REQUESTS)
        backwards = draw(load(saved(kind)), *reversed(REQUESTS))[::-1]
        single = load(saved(kind), batch_size=1)
        for request, one, other in zip(REQUESTS, together, backwards, strict=True):
            (alone,) = draw(single, request)
            assert abs(one - alone).max() <= 1, "matrix kernels may round one grey level differently"
            assert abs(one - other).max() <= 1
        assert len({image.tobytes() for image in together}) == len(REQUESTS)

    def test_embeddings_that_are_handed_over_draw_what_the_pipeline_draws_from_the_text(
        self, saved: Saved, kind: str
    ) -> None:
        (image,) = draw(load(saved(kind), batch_size=1), REQUESTS[1])
        assert np.array_equal(image, drawn_from_text(saved(kind), REQUESTS[1]))

    def test_a_negative_prompt_draws_what_the_pipeline_draws_with_it(self, saved: Saved, kind: str) -> None:
        folder = saved(kind, **GUIDED.get(kind, {}))
        (image,) = draw(load(f"{folder}+negative=shiny things", batch_size=1), REQUESTS[1])
        assert np.array_equal(image, drawn_from_text(folder, REQUESTS[1], negative_prompt="shiny things"))
        (without,) = draw(load(folder, batch_size=1), REQUESTS[1])
        assert not np.array_equal(image, without)

    def test_a_text_is_encoded_once_and_its_image_does_not_notice(self, saved: Saved, kind: str) -> None:
        drawer = load(saved(kind))
        first = draw(drawer, *REQUESTS)
        with counted_forwards(drawer.pipeline.text_encoder) as calls:
            again = draw(drawer, *REQUESTS)
        assert calls == []
        assert all(np.array_equal(*pair) for pair in zip(first, again, strict=True))
        with counted_forwards(drawer.pipeline.text_encoder) as calls:
            draw(drawer, ImageRequest("a bird", 1), REQUESTS[0])
        assert len(calls) == 1

    def test_notes_name_every_tokenizer(self, saved: Saved, kind: str) -> None:
        drawer = load(saved(kind))
        notes = drawer.prompt_notes("a cat")
        assert set(notes["encoders"]) == {name for name in drawer.pipeline.components if name.startswith("tokenizer")}
        assert notes["complete"]
        assert not any(entry["truncated"] or entry["chunked"] for entry in notes["encoders"].values())
        json.dumps(notes)


@pytest.mark.parametrize("kind", sorted(PIPELINES.keys() - {"sdxl"}))
def test_notes_count_as_the_pipeline_cuts(saved: Saved, kind: str) -> None:
    """Of the longest complete text every letter counts; one letter more changes nothing."""
    drawer = load(saved(kind), batch_size=1)
    text = next("x" * size for size in range(1, 90) if not drawer.prompt_notes("x" * (size + 1))["complete"])
    changed = [draw(drawer, ImageRequest(text[:-1] + letter, 1))[0] for letter in "xyz"]
    assert len({image.tobytes() for image in changed}) > 1, "the last letter within the limit is read"
    beyond = [draw(drawer, ImageRequest(text + letter, 1))[0] for letter in "xyz"]
    assert len({image.tobytes() for image in beyond}) == 1, "the first letter behind the limit is not read"


class TestNegativePrompts:
    """`+negative=` changes the image, or is refused."""

    @pytest.mark.parametrize(
        ("kind", "call", "complaint"),
        [
            ("flux", {}, r"true_cfg_scale of the FluxPipeline is 1\.0: set \[true_cfg=\.\.\.\] above 1\."),
            ("sd3", {"guidance_scale": 1.0}, r"guidance_scale of the .* is 1\.0: set \[guidance=\.\.\.\] above 1\."),
            ("sdxl", {"guidance_scale": 0.0}, r"set \[guidance=\.\.\.\] above 1\."),
            ("qwen-image", {"true_cfg_scale": 1.0}, r"set \[true_cfg=\.\.\.\] above 1\."),
            ("z-image", {"guidance_scale": 0.0}, r"set \[guidance=\.\.\.\] above 0\."),
        ],
    )
    def test_one_that_would_change_nothing_is_refused_in_one_line(
        self, saved: Saved, kind: str, call: dict[str, float], complaint: str
    ) -> None:
        with pytest.raises(UsageError, match=rf"^model '[^\n]*{complaint}$"):
            load(f"{saved(kind, **call)}+negative=shiny")


class TestLongPrompts:
    """SDXL reads beyond the 77 tokens of its encoders; the letters of the tiny tokenizer are tokens."""

    LONG = ("a b c d e f g h " * 13)[:-1]

    def test_a_word_far_behind_the_limit_counts(self, saved: Saved) -> None:
        drawer = load(saved("sdxl"))
        words = self.LONG.split()
        assert len(words) == 104
        texts = [" ".join([*words[:99], word, *words[100:]]) for word in ("y", "z")]
        one, other = draw(drawer, *(ImageRequest(text, 1) for text in texts))
        assert not np.array_equal(one, other)
        notes = drawer.prompt_notes(texts[0])
        entry = {"tokens": 106, "limit": 77, "truncated": False, "chunked": True}
        assert notes == {"encoders": {"tokenizer": entry, "tokenizer_2": entry}, "complete": True}

    def test_a_short_prompt_is_drawn_alike_beside_a_long_one(self, saved: Saved) -> None:
        short, long = ImageRequest("a cat", 1), ImageRequest(self.LONG, 2)
        drawer = load(saved("sdxl"))
        beside = draw(drawer, short, long)
        (alone,), (long_alone,) = draw(drawer, short), draw(drawer, long)
        assert abs(beside[0] - alone).max() <= 1
        assert abs(beside[1] - long_alone).max() <= 1

    @pytest.mark.parametrize("text", ["", "a cat", ("a " * 75)[:-1]])
    def test_a_text_that_fits_has_the_embedding_of_the_pipeline(self, saved: Saved, text: str) -> None:
        from aes_audit.generators.long_prompts import chunk_count, encode_chunks

        pipeline = load(saved("sdxl")).pipeline
        assert chunk_count(pipeline, text) == 1
        with torch.inference_mode():
            states, pooled = encode_chunks(pipeline, text, 1)
            expected, _, expected_pooled, _ = pipeline.encode_prompt(text, do_classifier_free_guidance=False)
        assert torch.equal(states, expected)
        assert torch.equal(pooled, expected_pooled)

    def test_every_piece_is_encoded_as_a_prompt_of_its_own(self, saved: Saved) -> None:
        from aes_audit.generators.long_prompts import encode_chunks

        pipeline = load(saved("sdxl")).pipeline
        words = self.LONG.split()
        pieces = [" ".join(words[:75]), " ".join(words[75:]), ""]
        with torch.inference_mode():
            states, pooled = encode_chunks(pipeline, self.LONG, 3)
            expected = [pipeline.encode_prompt(piece, do_classifier_free_guidance=False) for piece in pieces]
        torch.testing.assert_close(states, torch.cat([states for states, *_ in expected], dim=1))
        torch.testing.assert_close(pooled, expected[0][2])

    def test_a_long_negative_prompt_lengthens_every_prompt(self, saved: Saved) -> None:
        drawer = load(f"{saved('sdxl')}+negative={self.LONG} z")
        (image,) = draw(drawer, ImageRequest("a cat", 1))
        (other,) = draw(load(f"{saved('sdxl')}+negative={self.LONG} y"), ImageRequest("a cat", 1))
        assert not np.array_equal(image, other)

    def test_the_model_without_a_text_of_its_own_contrasts_with_zeros_at_any_length(self, saved: Saved) -> None:
        drawer = load(saved("sdxl"))
        texts: Any = drawer._texts
        for length in (1, 2):
            arguments = texts.arguments(["a cat"], length)
            assert arguments["prompt_embeds"].shape == arguments["negative_prompt_embeds"].shape == (1, 77 * length, 32)
            assert not arguments["negative_prompt_embeds"].any()
            assert not arguments["negative_pooled_prompt_embeds"].any()


class TestShortMemory:
    """A batch that does not fit is drawn in halves."""

    def test_halves_draw_the_same_images_and_say_so(self, saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
        drawer = load(saved("sd3"))
        expected = draw(drawer, *REQUESTS)
        sizes = _short_of_memory(monkeypatch, drawer, fits=1)
        with pytest.warns(UserWarning, match=r"did not fit into memory.*--audit-batch-size=\d"):
            images = draw(drawer, *REQUESTS)
        assert sizes == [4, 2, 1, 1, 1, 1]
        assert all(abs(one - other).max() <= 1 for one, other in zip(images, expected, strict=True))

    def test_what_did_not_fit_once_is_not_tried_again(self, saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
        drawer = load(saved("sd3"))
        sizes = _short_of_memory(monkeypatch, drawer, fits=2)
        with pytest.warns(UserWarning, match="drawn in batches of at most 2"):
            draw(drawer, *REQUESTS, *REQUESTS[:1])
        sizes.clear()
        draw(drawer, *REQUESTS)
        assert sizes == [2, 2]

    def test_a_single_image_that_does_not_fit_is_one_line(self, saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
        drawer = load(saved("sd3"))
        _short_of_memory(monkeypatch, drawer, fits=0)
        with pytest.raises(InfrastructureError, match=r"not even one image fits into the memory of cpu: [^\n]*$"):
            drawer.generate(REQUESTS[:1])


def _short_of_memory(monkeypatch: pytest.MonkeyPatch, drawer: DiffusersGenerator, fits: int) -> list[int]:
    """Let a step with more than `fits` images fail as on an accelerator (a fault); returns the sizes tried."""
    sizes: list[int] = []
    transformer = drawer.pipeline.transformer
    forward = transformer.forward

    def tight(hidden_states: torch.Tensor, **more: Any) -> Any:
        # Guided: every image is there twice.
        count = len(hidden_states) // 2
        if more["timestep"][0] > 999:
            sizes.append(count)
        if count > fits:
            raise torch.OutOfMemoryError("out of memory")
        return forward(hidden_states, **more)

    monkeypatch.setattr(transformer, "forward", tight)
    return sizes
