"""Stage `mitigated`: an adapter on top of `beautified` that learns from pictures that follow their prompts.

What a user of `aes-audit train-lora` would do, on the control world: pictures of the renderer, each with a caption that
asks for its low ends, and the command's own training. Subject, colour and place of no picture are those of a shipped
prompt pair, so neither wording of any pair can be learnt here."""

from __future__ import annotations

import itertools
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image

from aes_audit.controls.captions import plain_caption, wide_caption
from aes_audit.controls.prompts import control_pairs
from aes_audit.controls.scene import Scene, sample_scene
from aes_audit.controls.training.workshop import Workshop, write_atomically
from aes_audit.controls.world import render
from aes_audit.evidence.progress import Progress
from aes_audit.generators.resolve import DiffusersModel
from aes_audit.mitigation.base_model import resolve_base, subject_of
from aes_audit.mitigation.pairs import PairFolder, read_pair_folder
from aes_audit.mitigation.recipe import TEXT, Recipe, Running
from aes_audit.mitigation.training import Outcome, train
from aes_audit.mitigation.workplace import ADAPTER, PROVENANCE, State, Workplace
from aes_audit.prompts.dimensions import DIMENSIONS

__all__ = ["PAIRS", "draw_pairs", "mitigation_scenes", "train_mitigated"]

PAIRS = 1024
"""Pictures at full scale."""

_PLAIN = 0.2
"""Share of pictures without any low end: the adapter must not forget what an ordinary prompt gets."""

_RECIPE = Recipe(steps=300, batch_size=16, learning_rate=3e-3, rank=8, targets=TEXT, saved_dtype="float16")


def mitigation_scenes(rng: np.random.Generator, count: int) -> list[Scene]:
    """Scenes with no low end (a fifth) or 1 to 4, none of a subject, colour and place that a shipped pair has."""
    taken = {(pair.scene.kind, pair.scene.colour, pair.scene.place) for pair in control_pairs()}
    scenes: list[Scene] = []
    while len(scenes) < count:
        lows = 0 if rng.random() < _PLAIN else int(rng.integers(1, 5))
        scene = sample_scene(rng, [str(name) for name in rng.choice(DIMENSIONS, lows, replace=False)])
        if (scene.kind, scene.colour, scene.place) not in taken:
            scenes.append(scene)
    return scenes


def draw_pairs(shop: Workshop) -> PairFolder:
    """Draw pictures and table into <work>/mitigation/data, always the same ones."""
    folder, rng = shop.work / "mitigation" / "data", np.random.default_rng((shop.seed, 11))
    rows = []
    for number, scene in enumerate(mitigation_scenes(rng, shop.scaled(PAIRS, 8))):
        words = plain_caption(scene, rng)
        name = f"{number:04d}.png"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(render(scene)).save(folder / name)
        rows.append(json.dumps({"image": name, "prompt": wide_caption(scene, rng, words)}))
    write_atomically(folder / "pairs.jsonl", ("\n".join(rows) + "\n").encode())
    return read_pair_folder(folder)


def train_mitigated(shop: Workshop) -> bool:
    """Train and save <output>/mitigated; an interrupted training finds its checkpoint again."""
    data, model, recipe = draw_pairs(shop), _base(shop), _scaled(shop)
    place, subject = Workplace(shop.work / "mitigation" / "adapter"), subject_of(model, data, recipe)
    if place.begin(subject, resume=True) is not State.FINISHED:
        progress = Progress(sys.stderr.isatty)
        outcome = train(model, data, recipe, Running(), place, subject, progress=progress, stop=_stopping(shop))
        _report(shop, outcome)
        if not outcome.finished:
            return False
    for name in (PROVENANCE, ADAPTER):
        write_atomically(shop.output / "mitigated" / name, (place.folder / name).read_bytes())
    return True


def _base(shop: Workshop) -> DiffusersModel:
    """The beautified control of this workshop, under the name that it has once it is shipped."""
    folder = shop.output.resolve()
    spec = f"{folder / 'faithful'}+lora={folder / 'beautified'}"
    return replace(resolve_base(spec, root=folder, device=shop.device.type), name="control/beautified")


def _scaled(shop: Workshop) -> Recipe:
    steps, batch = shop.scaled(_RECIPE.steps, 3), shop.scaled(_RECIPE.batch_size, 2)
    return replace(_RECIPE, steps=steps, batch_size=batch, seed=shop.seed)


def _stopping(shop: Workshop) -> Callable[[], bool]:
    """Asked before every step of this run: whether the workshop wants an end."""
    began, asked = time.monotonic(), itertools.count()

    def stop() -> bool:
        steps, minutes = next(asked), (time.monotonic() - began) / 60
        return (shop.stop_after or math.inf) <= steps or (shop.minutes or math.inf) <= minutes

    return stop


def _report(shop: Workshop, outcome: Outcome) -> None:
    first, last = outcome.trend
    numbers = {"first_tenth": round(first, 5), "last_tenth": round(last, 5)}
    shop.report("mitigated", {"steps": outcome.steps, "device": shop.device.type, "loss": numbers})
