"""Print the memory that collecting takes for few and for many prompt pairs.

    python benchmarks/memory.py [300 3000] [--model control/faithful] [--store FOLDER] [--stop]

Every pair has both images drawn, scored by the instruments of the profile `control` and written as rows of evidence, in
a process of its own: first from an empty store (cold), then again from a full one (warm). Printed is the peak of each
process's resident memory, and what of it was there before the first pair: the interpreter and the libraries. `--stop`
collects in rounds, as a run does that may stop early. `--store` keeps the stores below a folder, so that a run that was
cut short goes on; then "cold" is only true of the first run. control/faithful draws six images a second on one core.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from aes_audit.controls.prompts import control_pairs
from aes_audit.evidence.collecting import Instruments, collect_pairs
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.store import Store
from aes_audit.generators.registry import resolve_model
from aes_audit.judges.registry import PREFERENCES, resolve_judge
from aes_audit.prompts.pairs import PromptPair, PromptSet
from aes_audit.rewards.registry import resolve_reward
from aes_audit.weights.loading import quiet_libraries

__all__ = ["main"]

REWARDS = ("control/clip", "control/preference")
PREFERRED = ("preference/control-judge", "preference/control-clip")


def prompts(pairs: int) -> PromptSet:
    """The control pairs, again and again with a number behind them."""
    source = control_pairs()
    found = []
    for index in range(pairs):
        pair, lap = source[index % len(source)], index // len(source)
        said = f", number {lap}" if lap else ""
        found.append(PromptPair(f"pair-{index}", pair.original + said, pair.wide + said, pair.dimensions))
    return PromptSet("memory", tuple(found), "none")


def instruments() -> Instruments:
    """Those of the profile `control`."""
    rewards = tuple(resolve_reward(name, device="cpu") for name in REWARDS)
    return Instruments(rewards, resolve_judge("control/judge", device="cpu"), tuple(PREFERENCES[n] for n in PREFERRED))


def peak() -> float:
    """MiB that this process has held at most."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def collected(pairs: int, model: str, store: Path, *, stop: bool) -> dict[str, Any]:
    """What one run held and how long it took."""
    import diffusers  # noqa: F401 - counted before the first pair
    import transformers  # noqa: F401

    generator = resolve_model(model, root=Path.cwd(), device="cpu")
    plan = prompts(pairs)
    before, start = peak(), time.monotonic()
    with quiet_libraries():
        table = collect_pairs(generator, plan, instruments(), Store(store), LocalEngine(), _never if stop else None)
    return {"rows": len(table), "before": before, "peak": peak(), "seconds": time.monotonic() - start}


def _never(_: object) -> bool:
    return False


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("pairs", type=int, nargs="*", default=[300, 3000])
    parser.add_argument("--model", default="control/faithful")
    parser.add_argument("--store", type=Path)
    parser.add_argument("--stop", action="store_true")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    said = parser.parse_args()
    if said.alone:
        print(json.dumps(collected(said.pairs[0], said.model, said.store, stop=said.stop)))
        return
    print("| pairs | store | rows | seconds | before, MiB | peak, MiB |\n|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for pairs in said.pairs:
            store = (said.store or Path(folder)) / str(pairs)
            for how in ("cold", "warm"):
                command = [sys.executable, __file__, "--alone", str(pairs), f"--model={said.model}", f"--store={store}"]
                command += ["--stop"] if said.stop else []
                told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
                print(
                    f"| {pairs:,} | {how} | {told['rows']:,} | {told['seconds']:.0f} | {told['before']:.0f} "
                    f"| {told['peak']:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
