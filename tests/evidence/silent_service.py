"""A server that accepts connections and never answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Silent:
    """Where it listens, and who waits."""

    url: str
    held: list[socket.socket] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        """How many connections wait for an answer."""
        return len(self.held)


@contextmanager
def silent() -> Iterator[Silent]:
    """The server, on a free port."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        service = Silent(f"http://127.0.0.1:{listening.getsockname()[1]}")
        threading.Thread(target=_hold, args=(listening, service.held), daemon=True).start()
        try:
            yield service
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for connection in service.held:
                connection.close()


def _hold(listening: socket.socket, held: list[socket.socket]) -> None:
    while True:
        try:
            held.append(listening.accept()[0])
        except OSError:
            return
