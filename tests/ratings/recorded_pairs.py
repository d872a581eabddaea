"""A recorded table of pairs with its prompts and pictures, made in a moment, for tests of sheets and answers."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from aes_audit.command.main import main
from aes_audit.evidence.store import Store
from aes_audit.evidence.table import Evidence
from aes_audit.prompts.dimensions import DIMENSIONS

__all__ = ["MODEL", "Recorded", "answered", "recorded", "records_of"]

MODEL = "secretive/generator"
JUDGE = "preference/oracle"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a live run leaves, in a folder."""

    folder: Path
    answers: Mapping[str, float]
    """Item -> what the judge said."""

    def sheet(self, *more: str, output: str = "sheet") -> int:
        """`aes-audit ratings sheet` of pairs, with more options."""
        return self.run("--prompts", str(self.folder / "pairs.jsonl"), *more, output=output)

    def run(self, *more: str, output: str = "sheet") -> int:
        """`aes-audit ratings sheet` of anything."""
        files = {"evidence": "evidence.parquet", "audit-store": "store", "output": output}
        options = [f"--{name}={self.folder / file}" for name, file in files.items()]
        if any(option.startswith("--images") for option in more):
            options = [option for option in options if not option.startswith("--audit-store")]
        return main(["ratings", "sheet", *options, *more])

    def key(self, output: str = "sheet") -> Any:
        """The key of a sheet."""
        return json.loads((self.folder / f"{output}.key.json").read_text())


def recorded(folder: Path, answers: Sequence[float], text: str = "a {item} in pieces") -> Recorded:
    """A run over as many pairs as there are answers; every picture has its own colour and betrays its model."""
    store, rows, lines = Store(folder / "store"), [], []
    draw = np.random.default_rng(5)
    for number, answer in enumerate(answers):
        item = f"p{number:03}"
        wide = text.format(item=item)
        lines.append({"id": item, "original": f"a {item}", "wide": wide, "dimensions": [DIMENSIONS[number % 11]]})
        place = {"model": MODEL, "set": "pairs", "item": item}
        rows.append({**place, "image": "pair", "prompt": "wide", "scorer": JUDGE, "value": answer})
        for image in ("original", "wide"):
            png = picture((number, 255 * (image == "wide"), 77))
            sha256 = hashlib.sha256(png).hexdigest()
            store.put_image(hashlib.sha256(f"{item}{image}".encode()).hexdigest(), png, {})
            about = {**place, "image": image, "prompt": None, "image_sha256": sha256}
            rows += [{**about, "scorer": f"judge/{name}", "value": 2 * draw.random()} for name in DIMENSIONS]
    Evidence.from_rows(rows).to_parquet(folder / "evidence.parquet")
    (folder / "pairs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return Recorded(folder, {f"p{number:03}": answer for number, answer in enumerate(answers)})


def picture(colour: tuple[int, int, int]) -> bytes:
    """A picture with the kind of metadata that generators write."""
    info, png = PngInfo(), io.BytesIO()
    info.add_text("parameters", f"{MODEL}, the wide one")
    Image.new("RGB", (24, 16), colour).save(png, format="PNG", pnginfo=info)
    return png.getvalue()


def answered(key: Any, rater: str, said: Mapping[tuple[int, str], str]) -> str:
    """A file of answers as the page writes it: every question of every page, unanswered ones empty."""
    rows = ["sheet,rater,page,question,answer"]
    for page in range(1, len(key["raters"][rater]) + 1):
        rows += [f"{key['id']},{rater},{page},{name},{said.get((page, name), '')}" for name in key["questions"]]
    return "\n".join(rows) + "\n"


def records_of(path: Path) -> list[dict[str, Any]]:
    """Rows of an evidence file."""
    from aes_audit.evidence.reading import read_evidence

    return [{str(name): cell for name, cell in row.items()} for row in read_evidence(path).frame.to_dict("records")]
