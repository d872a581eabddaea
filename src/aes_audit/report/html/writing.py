"""From a run to its folder: what the session knows is put together as material and written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aes_audit.report.html.folder import stored_pictures, write_folder
from aes_audit.report.html.material import Material

if TYPE_CHECKING:
    from aes_audit.evidence.table import Evidence
    from aes_audit.session import AuditSession

__all__ = ["write_report"]


def write_report(
    path: Path, results: Mapping[str, Any], session: AuditSession, evidence: Evidence | None, next_command: str | None
) -> None:
    """Write the run folder of a session. Raises UsageError naming the path when it cannot be written."""
    config = session.config
    find = None if config.evidence else stored_pictures(config.store)
    write_folder(path, Material(results, evidence, session.texts, find, next_command))
