"""Where files of the repository lie in the site, and links that lead there. Source of truth: the repository."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["ROOT", "brought_along", "rewritten", "site_path", "targets"]

ROOT = Path(__file__).resolve().parents[2]

_FENCED = re.compile(r"^(```+).*?^\1\s*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<=\]\()(?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?(?=\))")
_ELSEWHERE = re.compile(r"[a-z]+:|/")


def site_path(path: str) -> str:
    """Path in the site of a file of the repository; README.md is the first page."""
    if path == "README.md":
        return "index.md"
    return path.removeprefix("docs/") if path.startswith("docs/") else f"repository/{path}"


def targets(markdown: str, source: str) -> Iterator[str]:
    """The files that a page links to, as paths in the repository; `source` is the page's own."""
    for match in _LINK.finditer(_FENCED.sub("", markdown)):
        if not _ELSEWHERE.match(match["target"]):
            yield posixpath.normpath(posixpath.join(posixpath.dirname(source), match["target"]))


def rewritten(markdown: str, source: str) -> str:
    """The page with its links leading to places in the site."""
    folder = posixpath.dirname(site_path(source))

    def place(match: re.Match[str]) -> str:
        if _ELSEWHERE.match(match["target"]):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), match["target"]))
        return posixpath.relpath(site_path(path), folder or ".") + (match["anchor"] or "")

    pieces, start = [], 0
    for fence in _FENCED.finditer(markdown):
        pieces += [_LINK.sub(place, markdown[start : fence.start()]), fence[0]]
        start = fence.end()
    return "".join([*pieces, _LINK.sub(place, markdown[start:])])


def brought_along() -> list[str]:
    """README, CONTRIBUTING and every file outside docs/ that some page leads to, as paths in the repository."""
    found: list[str] = []
    waiting = ["README.md", "CONTRIBUTING.md", *(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))]
    seen = set(waiting)
    while waiting:
        path = waiting.pop()
        if not path.startswith("docs/"):
            found.append(path)
        if not path.endswith(".md"):
            continue
        for target in targets((ROOT / path).read_text(encoding="utf-8"), path):
            # A link into docs/ or to nothing is for the builder to follow, or to complain about.
            if target not in seen and not target.startswith("docs/") and (ROOT / target).is_file():
                seen.add(target)
                waiting.append(target)
    return sorted(found)
