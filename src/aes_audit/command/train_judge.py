"""`aes-audit train-judge`: a dimension judge learns from rated images, and is held against those it has not seen.

Imports no torch until the training begins."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from aes_audit.command.argument_types import OneLineParser, number, whole
from aes_audit.command.interrupts import Interrupts
from aes_audit.device import pick_device
from aes_audit.errors import AesAuditError, UsageError
from aes_audit.evidence.progress import Progress
from aes_audit.judges.training.recipe import ALL_LINEAR, ATTENTION, LANGUAGE, JudgeRecipe, JudgeRunning

if TYPE_CHECKING:
    from aes_audit.judges.training.annotations import Annotations
    from aes_audit.judges.training.sources import DataSource
    from aes_audit.judges.training.split import Split
    from aes_audit.judges.vision_language import QwenJudgeModel

__all__ = ["train_judge"]

_DESCRIPTION = (
    "Train a LoRA adapter that makes a Qwen3-VL rate the dimensions of images as people do, and compare it with people "
    "on held-out images. DATA is a table (.parquet, .jsonl, .csv), a folder of Parquet files or a hub data set: image, "
    "and a rating per dimension. The result judges as `MODEL+lora=OUTPUT`, the `judge` of a profile in thresholds.toml."
)
_SHARE = 0.1


def train_judge(arguments: Sequence[str]) -> int:
    """Train and evaluate as asked; 0 when both are done.

    Raises UsageError, InfrastructureError or KeyboardInterrupt.
    """
    typed = _parser().parse_args(arguments)
    if (typed.output is None) != typed.evaluate_only:
        raise UsageError("give --output FOLDER to train, or --evaluate-only and --evidence FILE to train nothing.")
    if typed.evaluate_only and typed.evidence is None:
        raise UsageError("--evaluate-only needs --evidence FILE: where the ratings go.")
    recipe = _recipe(typed)
    model = _resolved(typed)
    source, data, split = _data(typed, model)
    if not typed.evaluate_only:
        model = _trained(arguments, typed, recipe, model, source, data, split)
    _evaluate(model, source, data, split, Path(typed.evidence or f"{typed.output.rstrip('/')}-ratings.parquet"))
    return 0


def _resolved(typed: argparse.Namespace) -> QwenJudgeModel:
    from aes_audit.judges.registry import resolve_judge
    from aes_audit.judges.vision_language import QwenJudgeModel

    model = resolve_judge(typed.model, root=Path.cwd(), device=pick_device(typed.device), cache=_cache("fingerprints"))
    if not isinstance(model, QwenJudgeModel):
        raise UsageError(f"{typed.model} is no Qwen3-VL on this machine: adapters of judges are trained for these.")
    return model


def _data(typed: argparse.Namespace, model: QwenJudgeModel) -> tuple[DataSource, Annotations, Split]:
    from aes_audit.judges.training.annotations import read_annotations
    from aes_audit.judges.training.sources import PUBLISHED_HELD_OUT, resolve_data
    from aes_audit.judges.training.split import split_images

    source = resolve_data(typed.data, Path.cwd())
    data = read_annotations(
        source, model.guideline, pictures=_cache("rated-images"), values=typed.values, asked=typed.dimensions
    )
    held_out = typed.held_out if typed.held_out is not None else PUBLISHED_HELD_OUT.get(source.name, _SHARE)
    split = split_images(data.images, held_out, typed.seed)
    told = [f"{len(split.training)} images to learn from and {len(split.held_out)} held out"]
    told += [f"{count} {what}" for count, what in _left_out(data, split) if count]
    _say(f"{source.name}: {'; '.join(told)}")
    return source, data, split


def _left_out(data: Annotations, split: Split) -> tuple[tuple[int, str], ...]:
    return (
        (data.unrated, "without a rating left out"),
        (split.repeated, "with the picture of an earlier row left out"),
        (split.leaking, "with a held-out picture not learnt from"),
    )


def _trained(
    arguments: Sequence[str],
    typed: argparse.Namespace,
    recipe: JudgeRecipe,
    model: QwenJudgeModel,
    source: DataSource,
    data: Annotations,
    split: Split,
) -> QwenJudgeModel:
    """The judge with its new adapter, trained first unless that is done."""
    from aes_audit.judges.training.subject import subject_of
    from aes_audit.mitigation.workplace import State, Workplace

    workplace = Workplace(Path(typed.output), "adapter_model.safetensors")
    subject = subject_of(model, source, data, split, recipe)
    if workplace.begin(subject, resume=typed.resume) is State.FINISHED:
        _say(f"{workplace.folder} is trained already")
        return _with_adapter(model, typed)
    from aes_audit.judges.training.loop import train_judge as train

    running = JudgeRunning(typed.checkpoint_every, typed.gradient_checkpointing)
    with Interrupts().heard() as stop:
        progress = Progress(sys.stderr.isatty)
        try:
            outcome = train(model, split.training, recipe, running, workplace, subject, progress=progress, stop=stop)
        except AesAuditError:
            # The corrected command shall find the folder as this one did.
            workplace.give_up()
            raise
    if not outcome.finished:
        again = ["aes-audit", "train-judge", *(part for part in arguments if part != "--resume"), "--resume"]
        steps = recipe.steps(len(split.training))
        raise KeyboardInterrupt(
            f"interrupted after update {outcome.steps} of {steps}, which is kept: `{shlex.join(again)}`"
        )
    first, last = outcome.trend
    _say(f"{outcome.steps} updates, loss {first:.4f} in the first tenth and {last:.4f} in the last")
    return _with_adapter(model, typed)


def _with_adapter(model: QwenJudgeModel, typed: argparse.Namespace) -> QwenJudgeModel:
    from aes_audit.weights.pinned import resolve_weights
    from aes_audit.weights.source import Source

    adapter = resolve_weights(Source(folder=Path(typed.output)), "adapter_config.json")
    return replace(model, name=f"{typed.model}+lora={typed.output}", loras=(*model.loras, adapter))


def _evaluate(model: QwenJudgeModel, source: DataSource, data: Annotations, split: Split, evidence: Path) -> None:
    """Print how far the judge agrees with people, and leave the ratings behind."""
    from aes_audit.judges.training.evaluation import agreement_table, judged

    progress = Progress(sys.stderr.isatty)
    found = judged(model.load(), split.held_out, data.dimensions, name=source.name, progress=progress)
    try:
        evidence.parent.mkdir(parents=True, exist_ok=True)
        found.to_parquet(evidence)
    except OSError as error:
        raise UsageError(f"--evidence {str(evidence)!r} cannot be written: {error.strerror or error}.") from error
    print(agreement_table(found, source.name, data.dimensions))
    _say(f"{model.name}: gate it with `pytest audits/ {shlex.quote(f'--evidence={evidence}')}`")


def _recipe(typed: argparse.Namespace) -> JudgeRecipe:
    return JudgeRecipe(
        epochs=typed.epochs,
        batch_size=typed.batch_size,
        accumulate=typed.accumulate,
        questions=typed.questions,
        learning_rate=typed.learning_rate,
        weight_decay=typed.weight_decay,
        rank=typed.rank,
        alpha=typed.alpha,
        targets=typed.targets,
        seed=typed.seed,
    )


def _parser() -> argparse.ArgumentParser:
    plain = JudgeRecipe()
    parser = OneLineParser(prog="aes-audit train-judge", description=_DESCRIPTION, allow_abbrev=False)
    add = parser.add_argument
    add("model", metavar="MODEL", help="a Qwen3-VL as judge: folder or owner/name, [options], +lora= adapters")
    add("--data", required=True, metavar="DATA", help="table, folder of Parquet files, or owner/name[@revision]")
    add("--output", metavar="FOLDER", help="a new folder for the adapter")
    add("--evidence", metavar="FILE", help="held-out ratings, Parquet (default: OUTPUT-ratings.parquet)")
    add("--evaluate-only", action="store_true", help="train nothing: compare MODEL as it is on the held-out images")
    add("--resume", action="store_true", help="go on with the training of --output; the same command otherwise")
    add("--values", choices=("levels", "classes"), default="levels", help="what ratings are (default: %(default)s)")
    add("--dimensions", type=_names, default=(), metavar="NAMES", help="default: those of the 11 that DATA rates")
    add("--held-out", type=_part, default=None, metavar="N", help=f"last N rows, or a share (default: {_SHARE})")
    add("--epochs", type=whole, default=plain.epochs, metavar="N", help="default: %(default)s")
    add("--batch-size", type=whole, default=plain.batch_size, metavar="N", help="images at once (default: %(default)s)")
    add("--accumulate", type=whole, default=plain.accumulate, metavar="N", help="batches per update (default: 4)")
    add("--questions", type=whole, default=None, metavar="N", help="drawn per image and epoch (default: all)")
    add("--learning-rate", type=number, default=plain.learning_rate, metavar="RATE", help="default: %(default)s")
    add("--weight-decay", type=number, default=plain.weight_decay, metavar="RATE", help="default: %(default)s")
    add("--rank", type=whole, default=plain.rank, metavar="N", help="rank of the adapter (default: %(default)s)")
    add("--alpha", type=whole, default=None, metavar="N", help="scales the adapter by N / rank (default: the rank)")
    add(
        "--targets", type=_targets, default=ATTENTION, metavar="NAMES", help="attention, language, all-linear, or names"
    )
    add("--seed", type=int, default=plain.seed, metavar="N", help="of everything random (default: %(default)s)")
    add("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"), help="default: auto")
    add("--checkpoint-every", type=whole, default=50, metavar="N", help="updates (default: %(default)s)")
    add("--gradient-checkpointing", action="store_true", help="less memory, slower")
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))


def _targets(text: str) -> tuple[str, ...]:
    sets = {"attention": ATTENTION, "language": LANGUAGE, "all-linear": ALL_LINEAR}
    return sets.get(text) or _names(text)


def _part(text: str) -> int | float:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    share = number(text)
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"invalid value {text!r}: give a number of rows, or a share between 0 and 1")
    return share


def _say(message: str) -> None:
    print(f"aes-audit: {' '.join(message.split())}", file=sys.stderr)


def _cache(name: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "aes_audit" / name
