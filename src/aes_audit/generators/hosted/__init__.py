"""Generators behind an API: pinned without their client libraries, loaded without weights."""

from aes_audit.generators.hosted.resolve import resolve_hosted

__all__ = ["resolve_hosted"]
