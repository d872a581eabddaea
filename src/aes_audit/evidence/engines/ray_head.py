"""Whether the head of a cluster listens at an address: Ray itself would find out in minutes, or never."""

from __future__ import annotations

import os
import socket

from aes_audit.errors import EngineUnreachable

__all__ = ["knock"]

_REACHED_WITHIN = 10.0
"""Seconds in which a head must answer."""

_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""How a client of gRPC begins, with settings that are empty; the server's settings are its answer (RFC 9113, 3.4)."""

_WAY_OUT = "give HOST:PORT of the head of a running cluster, or no address to start one on this machine."


def knock(address: str) -> None:
    """Raise EngineUnreachable, within seconds, where no head of a cluster listens at HOST:PORT.

    Which server of gRPC it is that listens, Ray finds out.
    """
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _REACHED_WITHIN) as line:
            answered = _is_secret() or _greets(line)
    except (OSError, ValueError) as error:
        raise EngineUnreachable(
            f"--engine=ray: nothing answers at address {address!r} ({error}): {_WAY_OUT}"
        ) from error
    if not answered:
        raise EngineUnreachable(
            f"--engine=ray: what listens at address {address!r} is no head of a Ray cluster: {_WAY_OUT}"
        )


def _is_secret() -> bool:
    """Whether Ray is told to speak TLS, which begins otherwise."""
    return os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true")


def _greets(line: socket.socket) -> bool:
    """Whether a gRPC server is at the other end, as each head is one, before it asks for any token."""
    heard = b""
    try:
        line.sendall(_GREETING)
        while len(heard) < 4 and (more := line.recv(4 - len(heard))):
            heard += more
    except OSError:
        return False
    return heard[3:] == b"\x04"
