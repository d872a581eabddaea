"""The page as one HTML file: a template that escapes everything, and a policy that runs nothing but our own script."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from aes_audit.report.html.commands import command_of
from aes_audit.report.html.first_screen import findings
from aes_audit.report.html.material import Material
from aes_audit.report.html.plots.canvas import Plot
from aes_audit.report.html.plots.forest import forest
from aes_audit.report.html.proof import Proof, worst_pairs
from aes_audit.report.html.sections import base_measurements, sections
from aes_audit.report.html.template import environment, policy, resource
from aes_audit.report.html.words import headline
from aes_audit.report.outcome import outcome

__all__ = ["Drawn", "page"]

_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}

_LABELS = {"pairs": ("plain", "asked"), "edits": ("source", "edited")}
"""What the two pictures of an item are called for a newcomer, as SIDES orders them."""

Drawn = tuple[str, Sequence[Plot]]
"""The page, and the plots that stand on it."""


def page(material: Material, shown: Mapping[str, Any], picture_note: str) -> Drawn:
    """The whole page. `shown` is the gallery's data; `picture_note` says what became of the pictures.

    Its policy allows this very script and style and pictures from the same place, and nothing else: a prompt or a name
    that is markup stays text, and could do nothing if it did not.
    """
    style, script = resource("page.css"), resource("page.js")
    base = base_measurements(material)
    parts = sections(material, base)
    overview = forest(material.entries, base)
    plots = [*([overview] if overview else []), *(plot for part in parts for plot in part.plots)]
    interrupted = bool(material.run.get("interrupted"))
    html = (
        environment("page.html")
        .get_template("page.html")
        .render(
            policy=policy("'self' file: data:", style, script),
            style=Markup(style),
            script=Markup(script),
            data=Markup(_safe_json(shown)),
            headline=headline(material.entries, interrupted=interrupted),
            interrupted=interrupted,
            findings=findings(material, base),
            proofs=[_proof(proof, shown) for proof in worst_pairs(material)],
            next_command=_next(material),
            overview=overview,
            sections=parts,
            run=material.run,
            subjects=list(dict.fromkeys(str(entry["subject"]) for entry in material.entries)),
            base_model=material.base_model,
            models=_models(material.run),
            gallery=shown,
            picture_note=picture_note,
            raw=json.dumps(material.run, indent=2, ensure_ascii=False),
        )
    )
    return html, plots


def _next(material: Material) -> str | None:
    """The failed case alone, which shows what changes; otherwise what the terminal says, unless it is to look here."""
    worst = material.entries[0] if material.entries else None
    if worst is not None and outcome(worst) in ("fail", "error"):
        return command_of(worst, material.run)
    said = material.next_command
    return None if said is None or said.startswith("look") else said.partition(": ")[2]


def _proof(proof: Proof, shown: Mapping[str, Any]) -> Mapping[str, Any]:
    place = (proof.set, proof.model, proof.item)
    found = next(
        (index for index, each in enumerate(shown["items"]) if (each["set"], each["model"], each["item"]) == place),
        None,
    )
    item = shown["items"][found] if found is not None else None
    return {"proof": proof, "index": found, "item": item, "sides": _LABELS[proof.set]}


def _models(run: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, revision and identity of every model and instrument."""
    return [
        (str(name), str(about.get("revision", "")), json.dumps(about.get("identity", {}), indent=2, ensure_ascii=False))
        for name, about in (run.get("models") or {}).items()
    ]


def _safe_json(data: Mapping[str, Any]) -> str:
    """JSON that cannot end the element it stands in, whatever its texts hold."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return "".join(_ESCAPED.get(letter, letter) for letter in text)
