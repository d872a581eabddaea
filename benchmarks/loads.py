"""Print how long a process takes to load a reward from a folder, with random weights.

    python benchmarks/loads.py [--rewards clip-l,pickscore] [--sizes medium,full] [--repeats 3]

"libraries" is what a fresh process imports first, whatever the reward; "load" begins with the weights on disk, which
have just been written and so lie in memory, and ends when the reward can be asked. Medians, one thread.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from random_rewards import SIZES, write_clip

__all__ = ["main"]

LOADING = """
import sys, time
from pathlib import Path
begun = time.perf_counter()
import torch, transformers
from aes_audit.rewards.registry import resolve_reward
from aes_audit.weights.loading import quiet_libraries
torch.set_num_threads(1)
imported = time.perf_counter()
reward = resolve_reward(sys.argv[1], device="cpu")
resolved = time.perf_counter()
with quiet_libraries():
    reward.load()
print(imported - begun, time.perf_counter() - resolved)
"""


def took(spec: str) -> tuple[float, float]:
    """Seconds of a fresh process for libraries, and to load."""
    said = subprocess.run([sys.executable, "-c", LOADING, spec], check=True, stdout=subprocess.PIPE, text=True).stdout
    imported, loaded = map(float, said.splitlines()[-1].split())
    return imported, loaded


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rewards", default="clip-l,pickscore", help="of the CLIP family, parted by commas")
    parser.add_argument("--sizes", default="medium,full", help=f"of {', '.join(SIZES)}, parted by commas")
    parser.add_argument("--repeats", type=int, default=3)
    typed = parser.parse_args(arguments)
    print("| reward | size | GB | libraries, s | load, s |\n|---|---|---|---|---|", flush=True)
    for reward in typed.rewards.split(","):
        for size in typed.sizes.split(","):
            with tempfile.TemporaryDirectory() as folder:
                write_clip(reward, size, Path(folder))
                large = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e9
                runs = [took(f"{reward}={folder}") for _ in range(typed.repeats)]
            imported, loaded = map(statistics.median, zip(*runs, strict=True))
            print(f"| {reward} | {size} | {large:.2f} | {imported:.1f} | {loaded:.1f} |", flush=True)


if __name__ == "__main__":
    main()
