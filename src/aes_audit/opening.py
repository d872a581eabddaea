"""From a configuration to the session that serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aes_audit.gates.thresholds import read_thresholds
from aes_audit.measures.names import METRIC_NEEDS, PAIRED
from aes_audit.options import AuditConfig
from aes_audit.session import AuditSession

if TYPE_CHECKING:
    from aes_audit.evidence.progress import Progress

__all__ = ["open_session"]


def open_session(config: AuditConfig, progress: Progress) -> AuditSession:
    """Look up everything the configuration names, without loading a model.

    Raises UsageError (its subclasses name the fault and the way out).
    """
    thresholds = read_thresholds(config.thresholds, PAIRED, METRIC_NEEDS.keys() - PAIRED)
    profile = thresholds.profile(config.profile)
    if config.evidence:
        from aes_audit.evidence.reading import read_evidence
        from aes_audit.recorded_session import RecordedSession

        return RecordedSession(config, thresholds, profile, read_evidence(config.evidence))
    from aes_audit.evidence.engines.registry import open_engine
    from aes_audit.live.session import LiveSession

    return LiveSession(config, thresholds, profile, open_engine(config.engine, progress))
