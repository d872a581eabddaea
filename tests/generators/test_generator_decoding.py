"""Decoding outside of the pipeline's call: the pixels are those of diffusers, whoever runs it and whatever happens."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate.hooks import ModelHook, add_hook_to_module  # type: ignore[import-untyped]
from generators.tiny_pipelines import PIPELINES
from numpy.typing import NDArray

from aes_audit.errors import InfrastructureError
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.generating import ImageJob, generate_images
from aes_audit.evidence.store import Store
from aes_audit.generators.decoding import latent_decoder
from aes_audit.generators.drawing import DiffusersGenerator
from aes_audit.generators.editing import ResolvedEditor
from aes_audit.generators.image_to_image import load_editor
from aes_audit.generators.protocol import ImageRequest
from aes_audit.generators.resolve import resolve_generator
from aes_audit.weights.loading import quiet_libraries

REQUESTS = [ImageRequest(text, seed) for seed, text in enumerate(("a cat", "a long crocodile", "dogs"))]
# The statistics that the VAE of Playground 2.5 has in its config.
PLAYGROUND = {"latents_mean": [-1.6574, 1.886, -1.383, 2.5155], "latents_std": [8.4927, 5.9022, 6.5498, 5.2299]}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny pipeline of every class; VAEs that shift and scale, as those of publishers do."""
    saved = {kind: save(tmp_path_factory.mktemp("pipelines") / kind) for kind, save in PIPELINES.items()}
    for kind, folder in saved.items():
        change = {"latents_mean": [0.3, -0.2, 0.1, 0.4], "latents_std": [1.5, 0.8, 1.2, 0.9]}
        configure(folder, **(change if kind == "qwen-image" else {"shift_factor": 0.3, "scaling_factor": 0.7}))
    return saved


def configure(folder: Path, **config: Any) -> None:
    """Change the VAE's config."""
    file = folder / "vae" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **config}))


def loaded(folder: Path) -> DiffusersGenerator:
    """The generator of a folder."""
    return resolve_generator(str(folder), root=Path("/nowhere"), device="cpu").load()


def frames_of_diffusers(generator: DiffusersGenerator, **more: Any) -> NDArray[np.float32]:
    """What the pipeline's own call makes of the requests, decoded inside of it.

    In inference mode, outside of which kernels of half precision round otherwise.
    """
    noise = [torch.Generator("cpu").manual_seed(request.seed) for request in REQUESTS]
    prompts = [request.prompt for request in REQUESTS]
    with quiet_libraries(), torch.inference_mode():
        call = {**generator.model.settings.call, **more, "generator": noise, "output_type": "np"}
        return np.asarray(generator.pipeline(prompts, **call).images)


def frames_apart(generator: DiffusersGenerator, **more: Any) -> NDArray[np.float32]:
    """The same with latents that are decoded in another thread."""
    noise = [torch.Generator("cpu").manual_seed(request.seed) for request in REQUESTS]
    prompts = [request.prompt for request in REQUESTS]
    call = {**generator.model.settings.call, **more}
    decoder = latent_decoder(generator.pipeline, call)
    assert decoder is not None
    with quiet_libraries(), torch.inference_mode(), decoder.call(apart=True):
        finish = decoder.begin(generator.pipeline(prompts, generator=noise, output_type="latent", **call).images)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(finish).result()


class TestPixels:
    """Equal to the bit, before they are rounded to grey levels."""

    @pytest.mark.parametrize("kind", PIPELINES)
    def test_they_are_those_of_the_call(self, folders: dict[str, Path], kind: str) -> None:
        generator = loaded(folders[kind])
        # A size of its own, so that height and width cannot be mistaken for each other.
        for size in ({}, {"height": 16, "width": 48}):
            apart = frames_apart(generator, **size)
            assert apart.shape[1:3] == ((size or generator.model.settings.call)["height"], size.get("width", 32))
            assert np.array_equal(apart, frames_of_diffusers(generator, **size))

    @pytest.mark.parametrize("kind", ["flux", "qwen-image"])
    def test_a_call_without_a_size_has_the_pipelines_own(self, folders: dict[str, Path], kind: str) -> None:
        generator = loaded(folders[kind])
        generator.pipeline.default_sample_size = 24
        own = {"height": None, "width": None}
        apart = frames_apart(generator, **own)
        assert apart.shape[1] == 24 * generator.pipeline.vae_scale_factor
        assert np.array_equal(apart, frames_of_diffusers(generator, **own))

    def test_statistics_of_the_latents_are_those_of_playground(self, folders: dict[str, Path], tmp_path: Path) -> None:
        folder = PIPELINES["sdxl"](tmp_path / "playground")
        plain = frames_apart(loaded(folder))
        configure(folder, **PLAYGROUND)
        generator = loaded(folder)
        apart = frames_apart(generator)
        assert np.array_equal(apart, frames_of_diffusers(generator))
        assert not np.array_equal(apart, plain)

    def test_a_vae_that_overflows_is_cast_for_the_decoding_alone(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder = PIPELINES["sdxl"](tmp_path / "half")
        configure(folder, force_upcast=True)
        settings = json.loads((folder / "aes_audit.json").read_text())
        (folder / "aes_audit.json").write_text(json.dumps({**settings, "dtype": "float16"}))
        generator = loaded(folder)
        apart = frames_apart(generator)
        assert generator.pipeline.vae.dtype == torch.float16
        assert not caplog.records
        assert np.array_equal(apart, frames_of_diffusers(generator))


class TestWhereItStaysInside:
    """Some pipelines have to decode in their call."""

    def test_a_class_that_is_not_known(self, folders: dict[str, Path]) -> None:
        pipeline = loaded(folders["sd3"]).pipeline
        unheard: Any = type("Unheard", (type(pipeline),), {})
        assert latent_decoder(unheard(**pipeline.components), {}) is None

    def test_parts_that_are_moved_to_the_device_and_back(self, folders: dict[str, Path]) -> None:
        pipeline = loaded(folders["sd3"]).pipeline
        assert latent_decoder(pipeline, {}) is not None
        add_hook_to_module(pipeline.transformer, ModelHook())
        assert latent_decoder(pipeline, {}) is None

    def test_images_that_are_decoded_in_tiles(self, folders: dict[str, Path]) -> None:
        pipeline = loaded(folders["sd3"]).pipeline
        pipeline.vae.enable_tiling()
        assert latent_decoder(pipeline, {}) is None

    def test_images_that_are_marked(self, folders: dict[str, Path]) -> None:
        pipeline = loaded(folders["sdxl"]).pipeline
        assert latent_decoder(pipeline, {}) is not None
        pipeline.watermark = object()
        assert latent_decoder(pipeline, {}) is None

    def test_editing_whose_next_batch_the_vae_encodes(self, folders: dict[str, Path]) -> None:
        model = resolve_generator(str(folders["sd3"]), root=Path("/nowhere"), device="cpu")
        assert load_editor(ResolvedEditor(model))._apart is None

    def test_the_images_are_the_same(self, folders: dict[str, Path]) -> None:
        apart, inside = loaded(folders["sd3"]), loaded(folders["sd3"])
        inside._decoder = None
        with decodings(inside) as calls:
            finish = inside.begin(REQUESTS)
            assert calls == [3]
            assert finish() == apart.generate(REQUESTS)


class TestBesideDenoising:
    """While a batch is decoded the next one is denoised."""

    def test_a_batch_is_decoded_while_the_next_one_is_denoised(self, tiny_pipeline: Path, tmp_path: Path) -> None:
        model = resolve_generator(str(tiny_pipeline), root=Path("/nowhere"), device="cpu", batch_size=2)
        generator = model.load()
        transformer, vae = generator.pipeline.transformer, generator.pipeline.vae
        denoise, decode = transformer.forward, vae.decode
        denoising, decoded = threading.Event(), threading.Event()
        threads = set[int]()
        steps: list[int] = []

        def step(*words: Any, **named: Any) -> Any:
            steps.append(1)
            if len(steps) > 2:
                denoising.set()
                assert decoded.wait(30), "decoding goes on while the second batch is denoised"
            return denoise(*words, **named)

        def decoding(*words: Any, **named: Any) -> Any:
            assert denoising.wait(30), "the second batch is denoised before the first is decoded"
            threads.add(threading.get_ident())
            found = decode(*words, **named)
            decoded.set()
            return found

        transformer.forward, vae.decode = step, decoding
        jobs = [ImageJob(request.prompt, "wide", request) for request in (*REQUESTS, ImageRequest("birds", 3))]
        records = generate_images(model, jobs, Store(tmp_path / "ahead"), LocalEngine(), lambda: generator)
        assert len(steps) == 4, "two batches of two steps"
        assert len(threads) == 1
        assert threading.get_ident() not in threads
        plain = generate_images(model, jobs, Store(tmp_path / "plain"), LocalEngine(), lambda: _Inside(model.load()))
        assert [record.sha256 for record in records] == [record.sha256 for record in plain]

    def test_a_batch_that_does_not_fit_beside_the_next_is_decoded_alone_and_one_by_one(
        self, folders: dict[str, Path]
    ) -> None:
        generator = loaded(folders["sd3"])
        expected = generator.generate(REQUESTS)
        with decodings(generator, fits=1) as calls:
            finish = generator.begin(REQUESTS)
            with ThreadPoolExecutor(1) as thread:
                with generator._decoder.call(apart=True):  # type: ignore[union-attr]
                    done = thread.submit(finish)
                    _until(lambda: calls == [3])
                    assert not done.done(), "it waits for the end of the denoising"
                with pytest.warns(UserWarning, match="decoding 3 images beside the next batch did not fit"):
                    images = done.result(30)
            assert calls == [3, 1, 1, 1]
        for image, other in zip(images, expected, strict=True):
            assert abs(levels(image) - levels(other)).max() <= 1, "kernels may round otherwise for another batch size"
        with decodings(generator) as calls:
            generator.begin(REQUESTS)
            assert calls == [3], "later batches are decoded in their call"

    def test_denoising_that_fails_beside_a_decoding_is_tried_again_after_it(self, folders: dict[str, Path]) -> None:
        generator = loaded(folders["sd3"])
        expected = generator.generate(REQUESTS)
        finish = generator.begin(REQUESTS)
        transformer = generator.pipeline.transformer
        denoise, calls = transformer.forward, list[int]()

        def tight(*words: Any, **named: Any) -> Any:
            calls.append(1)
            if len(calls) == 1:
                raise torch.OutOfMemoryError("out of memory")
            return denoise(*words, **named)

        transformer.forward = tight
        with decodings(generator) as decoded:
            second = generator.begin(REQUESTS[1:])
            assert decoded == [2], "whole, in its call"
            assert finish() == expected
        del transformer.forward
        assert second() == generator.generate(REQUESTS[1:])

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
    def test_on_a_stream_of_its_own_the_pixels_are_those_of_the_call(self, folders: dict[str, Path]) -> None:
        model = resolve_generator(str(folders["sdxl"]), root=Path("/nowhere"), device="cuda")
        apart, inside = model.load(), model.load()
        inside._decoder = None
        batches = [[ImageRequest(request.prompt, seed) for request in REQUESTS] for seed in range(8)]
        with ThreadPoolExecutor(1) as thread:
            found = [thread.submit(apart.begin(batch)) for batch in batches]
            for batch, images in zip(batches, found, strict=True):
                assert images.result() == inside.generate(batch)

    def test_one_image_that_cannot_be_decoded_is_one_line(self, folders: dict[str, Path]) -> None:
        generator = loaded(folders["sd3"])
        with (
            decodings(generator, fits=0),
            pytest.warns(UserWarning, match="one by one"),
            pytest.raises(InfrastructureError, match=r"not even one image fits into the memory of cpu: [^\n]*$"),
        ):
            generator.generate(REQUESTS)

    def test_a_decoder_that_fails_ends_the_run_in_one_line(self, folders: dict[str, Path], tmp_path: Path) -> None:
        model = resolve_generator(str(folders["sd3"]), root=Path("/nowhere"), device="cpu", batch_size=1)
        generator = model.load()
        generator.pipeline.vae.post_quant_conv = torch.nn.Conv2d(3, 3, 1)
        jobs = [ImageJob(request.prompt, "wide", request) for request in REQUESTS]
        with pytest.raises(InfrastructureError, match=r"sd3: generating 1 images failed: [^\n]+$"):
            generate_images(model, jobs, Store(tmp_path), LocalEngine(), lambda: generator)


def levels(image: Any) -> NDArray[np.int16]:
    """Pixels, wide enough to be subtracted."""
    return np.asarray(image).astype(np.int16)


class _Inside:
    """A generator that offers nothing to be finished later."""

    def __init__(self, generator: DiffusersGenerator) -> None:
        """The one to hide."""
        self.generate = generator.generate


@contextmanager
def decodings(generator: DiffusersGenerator, fits: int = 99) -> Iterator[list[int]]:
    """Batch sizes that the VAE decodes while the block runs; more than `fits` at once do not fit (a fault)."""
    vae, calls = generator.pipeline.vae, list[int]()
    decode = vae.decode

    def tight(latents: torch.Tensor, **more: Any) -> Any:
        calls.append(len(latents))
        if len(latents) > fits:
            raise torch.OutOfMemoryError("out of memory")
        return decode(latents, **more)

    vae.decode = tight
    try:
        yield calls
    finally:
        vae.decode = decode


def _until(condition: Callable[[], bool]) -> None:
    """Wait for another thread."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)
