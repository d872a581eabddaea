"""Training of the control models: `python -m aes_audit.controls.train STAGE|all`; an interrupted run goes on."""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path

__all__ = ["STAGES", "main"]

STAGES: dict[str, str] = {
    "tokenizer": "tokenizer:train_tokenizer",
    "corpus": "corpus:draw_corpus",
    "vae": "vae:train_vae",
    "clip": "clip:train_clip",
    "judge": "judge:train_judge",
    "generator": "generator:train_generator",
    "preference": "preference:train_preference",
    "beautified": "alignment:train_beautified",
    "instructed": "alignment:train_instructed",
    "mitigated": "mitigation:train_mitigated",
    "evaluate": "evaluate:evaluate",
    "sheets": "sheets:draw_sheets",
}
"""Stage -> module and function, in the order in which they need each other."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m aes_audit.controls.train", description=__doc__)
    parser.add_argument("stage", choices=[*STAGES, "all"], help="one stage, or all in their order")
    parser.add_argument("--output", type=Path, default=Path("fixtures/controls"), help="folder of the finished models")
    parser.add_argument(
        "--work", type=Path, default=Path(".aes_audit/training"), help="folder of pictures and checkpoints"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, ... or auto (default)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of pictures, steps and batch; 0.001 is a trial")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random (default 0)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that draw pictures")
    parser.add_argument("--stop-after", type=int, default=None, metavar="STEPS", help="stop after so many steps")
    parser.add_argument(
        "--minutes", type=float, default=None, help="stop a stage after so many minutes; run again to go on"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run the stages; 0 when all finished, 3 when one stopped early and wants another run."""
    options = vars(_parser().parse_args(arguments))
    stage = options.pop("stage")
    # Slow imports, not needed for --help.
    from aes_audit.controls.training.workshop import Workshop, pick_device

    shop = Workshop(device=pick_device(options.pop("device")), **options)
    for name in STAGES if stage == "all" else [stage]:
        module, function = STAGES[name].split(":")
        if not getattr(importlib.import_module(f"aes_audit.controls.training.{module}"), function)(shop):
            print(f"stage {name} stopped early: the same command goes on from its checkpoint")
            return 3
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
