"""Drawing with matplotlib, and what makes its SVG safe to stand inside a page.

The page's policy forbids style attributes, so each becomes presentation attributes; colours become the page's own
variables, so that light and dark both work; text stays text; what a plot says stands in its title and description.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "VERDICT_COLOURS", "Plot", "canvas", "ink", "plain", "plot", "quiet"]

COLOURS = {
    "ink": ("#010101", "var(--ink, #1b1f24)"),
    "soft": ("#020202", "var(--soft, #57606a)"),
    "line": ("#030303", "var(--line, #c8ced6)"),
    "first": ("#040404", "var(--first, #8a5a00)"),
    "second": ("#050505", "var(--second, #0b57a4)"),
    "third": ("#060606", "var(--third, #7a3aa6)"),
    "fail": ("#070707", "var(--fail, #b3261e)"),
    "pass": ("#080808", "var(--pass, #1a7f37)"),
    "inconclusive": ("#090909", "var(--inconclusive, #8a5a00)"),
    "ground": ("#0a0a0a", "var(--panel, #ffffff)"),
}
"""Name -> the colour that matplotlib is given, and what stands for it in the SVG, with a fallback outside of a page."""

VERDICT_COLOURS = {"fail": "fail", "error": "fail", "inconclusive": "inconclusive", "pass": "pass", "advisory": "soft"}

_SCALE = 96 / 72
"""Pixels of a page per point."""

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawn plot."""

    name: str
    """Unique on the page; the file's name."""
    title: str
    """What it shows, in one line."""
    description: str
    """How to read it."""
    svg: str
    """The picture."""
    columns: tuple[str, ...]
    """Headings of its numbers."""
    rows: tuple[tuple[str, ...], ...]
    """Its numbers."""


def ink(name: str) -> str:
    """The colour that stands for a name of COLOURS while drawing."""
    return COLOURS[name][0]


def plain(text: str, width: int = 48) -> str:
    """A name in a plot: one line, without what no XML can hold, cut in the middle where it is long."""
    text = _UNPRINTABLE.sub("\ufffd", text)
    return text if len(text) <= width else f"{text[: width // 2]}…{text[-(width // 2 - 1) :]}"


@contextmanager
def canvas(width: float, height: float) -> Iterator[Figure]:
    """A figure of this size in inches, at 72 units to the inch, in the page's colours."""
    import matplotlib
    from matplotlib.figure import Figure

    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "aes_audit",
        # Names of models come from anywhere, and a dollar sign is no formula.
        "text.parse_math": False,
        "font.size": 10.0,
        "text.color": ink("ink"),
        "axes.edgecolor": ink("line"),
        "axes.labelcolor": ink("soft"),
        "xtick.color": ink("soft"),
        "ytick.color": ink("soft"),
        "legend.frameon": False,
        "figure.dpi": 72,
    }
    with matplotlib.rc_context(style):
        yield Figure(figsize=(width, height), layout="constrained")


def quiet(axes: Axes) -> None:
    """Leave out the lines that say nothing."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)


def plot(
    figure: Figure, name: str, title: str, description: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> Plot:
    """The finished plot; `name` prefixes every id within."""
    title, description = plain(title, 300), plain(description, 2000)
    raw = io.BytesIO()
    figure.savefig(raw, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = _page_svg(raw.getvalue(), name, title, description)
    return Plot(name, title, description, svg, tuple(columns), tuple(tuple(row) for row in rows))


def _page_svg(raw: bytes, name: str, title: str, description: str) -> str:
    root = ElementTree.fromstring(raw)
    _, _, width, height = root.attrib["viewBox"].split()
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    for element in root.iter():
        _clean(element, name)
    root.attrib = {
        "viewBox": f"0 0 {width} {height}",
        "width": f"{float(width) * _SCALE:.0f}",
        "height": f"{float(height) * _SCALE:.0f}",
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-description",
        "font-family": "system-ui, sans-serif",
        "stroke-linejoin": "round",
    }
    for position, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(
            f"{{{_SVG}}}{tag}", {"id": f"{name}-{'title' if tag == 'title' else 'description'}"}
        )
        element.text = text
        root.insert(position, element)
    ElementTree.register_namespace("", _SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _clean(element: ElementTree.Element, name: str) -> None:
    attributes: dict[str, str] = {}
    for key, value in element.attrib.items():
        if key == "style":
            attributes |= dict(_declared(value))
        elif key == "id":
            attributes[key] = f"{name}-{value}"
        elif key == f"{{{_XLINK}}}href":
            attributes["href"] = value.replace("#", f"#{name}-", 1)
        else:
            attributes[key] = value
    element.attrib = {key: _coloured(value.replace("url(#", f"url(#{name}-")) for key, value in attributes.items()}


def _declared(style: str) -> Iterator[tuple[str, str]]:
    for declaration in style.split(";"):
        key, _, value = declaration.partition(":")
        key, value = key.strip(), value.strip()
        if key == "font":
            # What is left of the shorthand is the page's own font.
            size = re.search(r"([0-9.]+)px", value)
            yield "font-size", size[1] if size else "10"
            if re.search(r"\b(bold|600|700)\b", value):
                yield "font-weight", "bold"
        elif key:
            yield key, value


def _coloured(value: str) -> str:
    for stand_in, shown in COLOURS.values():
        value = value.replace(stand_in, shown)
    return value
