"""`aes-audit train-lora`: what people type, checked before a model is read, and a training that Ctrl-C may end.

Imports no torch until the training begins."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from aes_audit.command.argument_types import OneLineParser, number, whole
from aes_audit.command.interrupts import Interrupts
from aes_audit.device import pick_device
from aes_audit.errors import UsageError
from aes_audit.evidence.progress import Progress
from aes_audit.mitigation.recipe import ATTENTION, TEXT, TIMESTEPS, Recipe, Running

__all__ = ["train_lora"]

_DESCRIPTION = (
    "Train a LoRA adapter on pictures that follow their prompts, for SD3- and Flux-type models. FOLDER holds the "
    "pictures and one table, pairs.jsonl or pairs.csv, with image, prompt and if wanted weight. The result is audited "
    "with `pytest audits/ --model=MODEL+lora=OUTPUT`."
)


def train_lora(arguments: Sequence[str]) -> int:
    """Train as asked; 0 when the adapter is there. Raises UsageError, InfrastructureError or KeyboardInterrupt."""
    typed = _parser().parse_args(arguments)
    recipe, running = _recipe(typed), Running(typed.checkpoint_every, typed.gradient_checkpointing)
    from aes_audit.mitigation.base_model import resolve_base, subject_of
    from aes_audit.mitigation.pairs import read_pair_folder
    from aes_audit.mitigation.workplace import State, Workplace

    data, workplace = read_pair_folder(Path(typed.data)), Workplace(Path(typed.output))
    model = resolve_base(typed.model, root=Path.cwd(), device=pick_device(typed.device), cache=_fingerprints())
    subject = subject_of(model, data, recipe)
    if workplace.begin(subject, resume=typed.resume) is State.FINISHED:
        _say(f"{workplace.folder} is finished already: {_audit(typed)}")
        return 0
    from aes_audit.mitigation.training import train

    interrupts = Interrupts()
    with interrupts.heard() as stop:
        progress = Progress(sys.stderr.isatty)
        try:
            outcome = train(model, data, recipe, running, workplace, subject, progress=progress, stop=stop)
        except UsageError:
            # The corrected command shall find the folder as this one did.
            workplace.give_up()
            raise
    if not outcome.finished:
        again = shlex.join(["aes-audit", "train-lora", *(part for part in arguments if part != "--resume"), "--resume"])
        raise KeyboardInterrupt(f"interrupted after step {outcome.steps} of {recipe.steps}, which is kept: `{again}`")
    first, last = outcome.trend
    _say(f"{outcome.steps} steps, loss {first:.4f} in the first tenth and {last:.4f} in the last; {_audit(typed)}")
    return 0


def _audit(typed: argparse.Namespace) -> str:
    return f"audit it with `pytest audits/ {shlex.quote(f'--model={typed.model}+lora={typed.output}')}`"


def _recipe(typed: argparse.Namespace) -> Recipe:
    return Recipe(
        steps=typed.steps,
        batch_size=typed.batch_size,
        accumulate=typed.accumulate,
        learning_rate=typed.learning_rate,
        weight_decay=typed.weight_decay,
        rank=typed.rank,
        alpha=typed.alpha,
        targets=typed.targets,
        timesteps=typed.timesteps,
        size=typed.size,
        guidance=typed.guidance,
        dtype=typed.dtype,
        saved_dtype=typed.save_dtype,
        seed=typed.seed,
    )


def _parser() -> argparse.ArgumentParser:
    plain = Recipe()
    parser = OneLineParser(prog="aes-audit train-lora", description=_DESCRIPTION, allow_abbrev=False)
    add = parser.add_argument
    add("model", metavar="MODEL", help="what --model of an audit takes; its adapters are fused before the training")
    add("--data", required=True, metavar="FOLDER", help="pictures and their table")
    add("--output", required=True, metavar="FOLDER", help="a new folder for the adapter")
    add("--resume", action="store_true", help="go on with the training of --output; the same command otherwise")
    add("--steps", type=whole, default=plain.steps, metavar="N", help="updates (default: %(default)s)")
    add("--batch-size", type=whole, default=plain.batch_size, metavar="N", help="pairs at once (default: %(default)s)")
    add("--accumulate", type=whole, default=1, metavar="N", help="batches per update (default: %(default)s)")
    add("--learning-rate", type=number, default=plain.learning_rate, metavar="RATE", help="default: %(default)s")
    add("--weight-decay", type=number, default=plain.weight_decay, metavar="RATE", help="default: %(default)s")
    add("--rank", type=whole, default=plain.rank, metavar="N", help="rank of the adapter (default: %(default)s)")
    add("--alpha", type=whole, default=None, metavar="N", help="scales the adapter by N / rank (default: the rank)")
    add("--targets", type=_names, default=ATTENTION, metavar="NAMES", help="attention (default), text, or layer names")
    add("--timesteps", choices=TIMESTEPS, default=plain.timesteps, help="noise shares (default: %(default)s)")
    add("--size", type=_size, default=None, metavar="WxH", help="pixels (default: what the model is called with)")
    add("--guidance", type=number, default=None, metavar="X", help="guidance embedding (default: as it is called)")
    add("--dtype", choices=("float32", "bfloat16"), default=None, help="of the frozen model (default: by device)")
    add("--save-dtype", choices=("float32", "bfloat16", "float16"), default=None, help="default: as --dtype")
    add("--seed", type=int, default=plain.seed, metavar="N", help="of everything random (default: %(default)s)")
    add("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"), help="default: auto")
    add("--checkpoint-every", type=whole, default=50, metavar="N", help="steps (default: %(default)s)")
    add("--gradient-checkpointing", action="store_true", help="less memory, slower")
    return parser


def _names(text: str) -> tuple[str, ...]:
    sets = {"attention": ATTENTION, "text": TEXT}
    return sets.get(text) or tuple(name for part in text.split(",") if (name := part.strip()))


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    return whole(width), whole(height or width)


def _say(message: str) -> None:
    print(f"aes-audit: {' '.join(message.split())}", file=sys.stderr)


def _fingerprints() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "aes_audit" / "fingerprints"
