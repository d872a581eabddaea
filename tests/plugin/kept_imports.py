"""Runs of pytest inside a test leave in the process what they imported: most of their time would go into that."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def keep_imports(pytester: pytest.Pytester, patch: pytest.MonkeyPatch) -> None:
    """Undo pytester's unloading of all that a run has imported; torch cannot even be loaded twice."""
    run = pytester.inline_run

    def keeping(*arguments: Any, plugins: Any = (), **options: Any) -> Any:
        imports = _Imports(pytester.path)
        try:
            return run(*arguments, plugins=[*plugins, imports], **options)
        finally:
            sys.modules.update(imports.kept)

    patch.setattr(pytester, "inline_run", keeping)


class _Imports:
    """The modules of a run that are not files of its own project."""

    def __init__(self, project: Path) -> None:
        self.kept: dict[str, ModuleType] = {}
        self._project = str(project)

    def pytest_unconfigure(self) -> None:
        files = {name: getattr(module, "__file__", None) for name, module in sys.modules.items()}
        outside = [name for name, file in files.items() if file and not file.startswith(self._project)]
        self.kept = {name: sys.modules[name] for name in outside}
