"""A difference as one HTML file that needs nothing else: no script, no other file, every text escaped."""

from __future__ import annotations

import json
from collections.abc import Mapping

from markupsafe import Markup

from aes_audit.report.diff.difference import Difference
from aes_audit.report.diff.folder_texts import Texts
from aes_audit.report.diff.pictures import pairs_that_show_it
from aes_audit.report.diff.plot import changes_plot
from aes_audit.report.diff.words import (
    NUMERIC,
    alone,
    columns,
    gates,
    headline,
    measured_by,
    method,
    prompt_of,
    sides,
    title,
    tolerated,
    unpaired,
    what_of,
)
from aes_audit.report.html.template import environment, policy, resource
from aes_audit.report.outcome import outcome

__all__ = ["diff_page"]

_LOOKS = {"worse": "fail", "better": "pass"}


def diff_page(found: Difference, texts: Mapping[tuple[str, str], Texts]) -> str:
    """The whole page, in the look of a run's report."""
    style = resource("page.css") + resource("diff.css")
    return (
        environment("diff.html")
        .get_template("diff.html")
        .render(
            policy=policy("data:", style),
            style=Markup(style),
            look=_look(found),
            title=title(found),
            headline=headline(found),
            method=method(found),
            sides=sides(found),
            notes=found.notes,
            numeric=NUMERIC,
            headings=[column[0] for column in columns(found) if column[0] != "by"],
            rows=_rows(found),
            plot=changes_plot(found),
            pairs=pairs_that_show_it(found, texts),
            moved=[(what_of(change), change, change.moved_most()) for change in found.changes if change.moved_most()],
            texts=texts,
            prompt_of=prompt_of,
            unpaired=[*unpaired(found), *gates(found), *tolerated(found)],
            new=list(alone(found.new)),
            vanished=list(alone(found.vanished)),
            runs=[
                (side.name, side.run, json.dumps(side.run, indent=2, ensure_ascii=False))
                for side in (found.before, found.after)
            ],
        )
    )


def _look(found: Difference) -> str:
    """The colour of the result: of what is worse, else of what is better, else none."""
    directions = {change.direction for change in found.changes}
    return next((look for direction, look in _LOOKS.items() if direction in directions), "advisory")


def _rows(found: Difference) -> list[Mapping[str, object]]:
    """Per change its cells under the shown headings, who measured it, the look of its direction, the two verdicts."""
    table = [column[1:] for column in columns(found) if column[0] != "by"]
    return [
        {
            "cells": row,
            "by": measured_by(change),
            "look": _LOOKS.get(change.direction, "advisory"),
            "verdicts": (outcome(change.before), outcome(change.after)),
        }
        for change, row in zip(found.changes, zip(*table, strict=True), strict=True)
    ]
