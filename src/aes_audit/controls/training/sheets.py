"""Stage `sheets`: contact sheets on which a person can see what each control draws."""

from __future__ import annotations

import textwrap

import numpy as np
from PIL import Image, ImageDraw

from aes_audit.controls.prompts import control_pairs
from aes_audit.controls.training.evaluate import GENERATORS, Pictures
from aes_audit.controls.training.workshop import Workshop

__all__ = ["draw_sheets"]

_SIDE, _GAP, _COLUMNS, _ROWS = 112, 6, 4, 8
_TEXT = 74


def draw_sheets(shop: Workshop) -> bool:
    """<output>/sheets/{world,faithful,beautified,instructed}.png: pairs I_o | I_a with their captions."""
    folder = shop.output / "sheets"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("world", *GENERATORS):
        stored = np.load(shop.work / "painted" / f"{'drawn' if name == 'world' else name}.npy")
        sheet = _sheet(stored[0], stored[1])
        # A palette keeps a sheet small enough for the repository.
        sheet.quantize(192, dither=Image.Dither.NONE).save(folder / f"{name}.png", optimize=True)
    return True


def _sheet(originals: Pictures, wides: Pictures) -> Image.Image:
    count = min(_COLUMNS * _ROWS, len(originals))
    wide, tall = 2 * _SIDE + 3 * _GAP, _SIDE + _TEXT
    sheet = Image.new("RGB", (_COLUMNS * wide, -(-count // _COLUMNS) * tall), "white")
    draw = ImageDraw.Draw(sheet)
    for index, pair in enumerate(control_pairs()[:count]):
        left, top = index % _COLUMNS * wide + _GAP, index // _COLUMNS * tall + _GAP
        for column, pixels in enumerate((originals[index], wides[index])):
            picture = Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.NEAREST)
            sheet.paste(picture, (left + column * (_SIDE + _GAP), top))
        text = "\n".join(textwrap.wrap(f"{pair.id[-3:]}: {pair.wide}", 42)[:5])
        draw.multiline_text((left, top + _SIDE + 2), text, fill="black", font_size=10, spacing=1)
    return sheet
