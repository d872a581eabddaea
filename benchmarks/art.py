"""Print what many artworks cost three rewards, and that a killed run goes on where it was.

    python benchmarks/art.py [1000 10000] [--store FOLDER]

So many seeded PNG files of 64 by 64 pixels, each under a caption of the control world's words, are scored by
control/clip, control/preference and a reward of another package (an entry point, made for the run), each number in a
process of its own. Printed are seconds, the peak of resident memory, what of it was there before the first work, how
often each picture was decoded, and the same for a second run over the full store. Then the first number again, killed
with SIGKILL after a third of the scores and started anew: what was decoded then, and whether the evidence is the same.
`--store` keeps everything below a folder instead of a temporary one.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from aes_audit.controls.prompts import control_pairs
from aes_audit.evidence.art import collect_art
from aes_audit.evidence.art_pictures import FilePicture
from aes_audit.evidence.artworks import read_art
from aes_audit.evidence.engines.local import LocalEngine
from aes_audit.evidence.store import Store
from aes_audit.rewards.registry import resolve_reward
from aes_audit.weights.loading import quiet_libraries

__all__ = ["main"]

REWARDS = ("control/clip", "control/preference", "colourful")
SIDE = 64
ARTISTS = 200

PACKAGE = """
import numpy as np


class Colourful:
    def __init__(self, **_):
        pass

    def score(self, images, texts):
        return [float(np.asarray(image).std(axis=(0, 1)).sum()) + len(text) / 100 for image, text in zip(images, texts)]
"""


def installed(site: Path) -> Path:
    """A folder that, on the path, brings the third reward as an installed package would."""
    info = site / "colourful-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (site / "colourful.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: colourful\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aes_audit.rewards]\ncolourful = colourful:Colourful\n")
    return site


def gallery(folder: Path, count: int) -> Path:
    """So many coarse random pictures with their table."""
    if folder.exists():
        return folder
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    texts = [pair.wide for pair in control_pairs()]
    with (folder / "works.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("image", "caption", "artist", "style", "year"))
        for number in range(count):
            coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / f"{number:05d}.png")
            caption = f"{texts[number % len(texts)]}, number {number}"
            table.writerow((f"{number:05d}.png", caption, f"artist {number % ARTISTS}", f"style {number % 9}", 1900))
    return folder


def peak() -> float:
    """MiB that this process has held at most."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def collected(folder: Path, store: Path) -> dict[str, Any]:
    """Score a folder, in this process; called in one of its own."""
    decoded: Counter[Path] = Counter()
    opened = FilePicture.open

    def counted(picture: FilePicture) -> Image.Image:
        decoded[picture.path] += 1
        return opened(picture)

    FilePicture.open = counted  # type: ignore[method-assign,assignment]
    quiet_libraries()
    rewards = [resolve_reward(name, device="cpu") for name in REWARDS]
    for reward in rewards:
        reward.load()
    before, start = peak(), time.monotonic()
    table = collect_art(read_art(str(folder)), rewards, Store(store), LocalEngine())
    seconds = time.monotonic() - start
    values = table.frame.sort_values(["item", "scorer", "prompt"])["value"].to_numpy(dtype=np.float64)
    return {
        "rows": len(table),
        "seconds": seconds,
        "before": before,
        "peak": peak(),
        "decoded": sum(decoded.values()),
        "most": max(decoded.values(), default=0),
        "evidence": hashlib.sha256(values.tobytes()).hexdigest(),
    }


def child(folder: Path, store: Path, site: Path) -> subprocess.Popen[str]:
    """Start a process that scores a folder and prints what `collected` gives."""
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, __file__, "--collect", str(folder), "--store", str(store)]
    return subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a process printed."""
    said, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"a run ended with exit code {process.returncode}.")
    found: dict[str, Any] = json.loads(said)
    return found


def killed(folder: Path, store: Path, site: Path, scores: int) -> int:
    """Kill a run as soon as so many scores are stored; how many there were."""
    process = child(folder, store, site)
    while (there := sum(1 for _ in store.glob("scores/*/*"))) < scores:
        if process.poll() is not None:
            raise SystemExit("the run was over before it could be killed.")
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return there


def told(name: str, found: dict[str, Any]) -> None:
    """One line."""
    print(
        f"{name:<20}{found['seconds']:>8.1f} s  {found['peak']:>6.0f} MiB ({found['before']:.0f} before)  "
        f"{found['rows']:>6} rows  {found['decoded']:>6} decoded, each at most {found['most']}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("works", nargs="*", type=int, default=[1000, 10000])
    parser.add_argument("--store", type=Path)
    parser.add_argument("--collect", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.collect:
        print(json.dumps(collected(asked.collect, asked.store)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        place = asked.store or Path(temporary)
        site = installed(place / "site")
        whole = {}
        for count in asked.works:
            folder = gallery(place / f"art-{count}", count)
            whole[count] = finished(child(folder, place / f"store-{count}", site))
            told(f"{count} works", whole[count])
            told("  again", finished(child(folder, place / f"store-{count}", site)))
        count = asked.works[0]
        scores = killed(place / f"art-{count}", place / "killed", site, count * len(REWARDS) // 3)
        rest = finished(child(place / f"art-{count}", place / "killed", site))
        told(f"  killed at {scores}", rest)
        same = rest["evidence"] == whole[count]["evidence"]
        print(f"evidence of the killed and resumed run: {'the same' if same else 'ANOTHER'}")


if __name__ == "__main__":
    main()
