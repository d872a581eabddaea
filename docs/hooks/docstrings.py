"""Python modules as Markdown: what `__all__` names, with signatures and docstrings, read from the source alone."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["module_page", "public_names"]

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def public_names(path: Path) -> list[str]:
    """What `__all__` of a module lists."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and target.id == "__all__":
            names: list[str] = ast.literal_eval(node.value)  # type: ignore[attr-defined]
            return names
    return []


def module_page(path: Path, name: str, only: tuple[str, ...] = ()) -> str:
    """One section: the module's docstring, then every public name, or those of `only`, in the order of the source."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    wanted = only or tuple(public_names(path))
    lines = [f"## `{name}`", "", *_prose(ast.get_docstring(tree) or ""), ""]
    for node, note in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | _Function) and node.name in wanted:
            lines += [*_entry(node), ""]
        elif constants := [name for name in _names(node) if name in wanted]:
            headings = (line for name in constants for line in (f"### `{name}`", ""))
            lines += [*headings, *_prose(_said(note)), ""]
    return "\n".join(lines)


def _entry(node: ast.ClassDef | _Function) -> Iterator[str]:
    yield f"### `{node.name}`"
    yield ""
    yield "```python"
    yield _signature(node)
    yield "```"
    yield ""
    yield from _prose(ast.get_docstring(node) or "")
    if isinstance(node, ast.ClassDef):
        yield ""
        yield from _members(node)


def _members(node: ast.ClassDef) -> Iterator[str]:
    """A list item per field and public method, with what its docstring says."""
    for member, note in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(member, _Function) and (member.name == "__init__" or not member.name.startswith("_")):
            yield _item(_signature(member).removeprefix("def "), ast.get_docstring(member) or "")
        elif isinstance(member, ast.AnnAssign) and not _names(member)[0].startswith("_"):
            yield _item(ast.unparse(member), _said(note))


def _item(code: str, text: str) -> str:
    return f"- `{code}`" + (f": {' '.join(text.split())}" if text else "")


def _signature(node: ast.ClassDef | _Function) -> str:
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(map(ast.unparse, node.bases))
        return f"class {node.name}({bases})" if bases else f"class {node.name}"
    marks = [ast.unparse(mark) for mark in node.decorator_list]
    if "property" in marks or "cached_property" in marks:
        return f"{node.name} -> {ast.unparse(node.returns)}" if node.returns else node.name
    arguments = re.sub(r"^(self|cls)(, )?", "", ast.unparse(node.args))
    answer = f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__init__" else ""
    return f"def {node.name}({arguments}){answer}"


def _names(node: ast.stmt) -> list[str]:
    """What a statement gives values to."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [part.id for target in targets if target for part in ast.walk(target) if isinstance(part, ast.Name)]


def _said(node: ast.stmt | None) -> str:
    """The string that follows a field or a constant."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return inspect.cleandoc(node.value.value)
    return ""


def _prose(text: str) -> list[str]:
    """Paragraphs as they are; what is drawn with columns (the tree of errors) as a block of its own."""
    drawn = re.search(r"^\* .*(?:\n(?: |\*).*)+", text, re.MULTILINE)
    if drawn is None:
        return text.splitlines()
    return [text[: drawn.start()], "```text", drawn[0], "```", text[drawn.end() :]]
