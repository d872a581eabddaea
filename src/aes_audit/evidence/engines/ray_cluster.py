"""The Ray cluster that an engine works on: an existing one is joined, otherwise one is started on this machine.

Ray speaks of itself in its session folder and not on the terminal.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module

from aes_audit.errors import EngineUnreachable
from aes_audit.evidence.engines.ray_head import knock

__all__ = ["RayCluster"]

_OBJECTS = 512 << 20
"""Bytes of shared memory of a cluster that is started here: requests and outcomes travel, and no images."""

_MODE = "RAY_AUTH_MODE"
"""Whether this process asks for a token, and shows one."""

_QUIET = {
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    # What nodes say about processes that died comes to the driver as lines to print; all of them are skipped.
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""What Ray reads where it is imported and where it starts; whoever has set one of these wants to hear it."""


class RayCluster:
    """A connection to a cluster; there is one in a process."""

    def __init__(self, address: str | None) -> None:
        """Join the cluster at `address`, or at RAY_ADDRESS, or start one. Raises EngineUnreachable."""
        with _silenced():
            try:
                import ray
                import ray.data
            except ImportError as error:
                raise EngineUnreachable(
                    f"--engine=ray: Ray cannot be imported ({error}): pip install 'aes-audit[ray]' mends it."
                ) from error

            ray.data.DataContext.get_current()
        wanted = address or os.environ.get("RAY_ADDRESS") or "local"
        # A program that has connected already keeps its connection.
        self._own = not ray.is_initialized()
        self._mode = os.environ.get(_MODE)
        if self._own:
            try:
                _connect(wanted)
            except BaseException:
                _set_mode(self._mode)
                raise
        self.started = self._own and wanted == "local"
        """Whether it lives in this process alone."""

    def room(self, cpus: float, gpus: float) -> int:
        """How many processes that take so much of a machine fit into the cluster when nobody else works there."""
        import ray

        nodes = (node["Resources"] for node in ray.nodes() if node["Alive"])
        return sum(_fitting(node, {"CPU": cpus, "GPU": gpus}) for node in nodes)

    @property
    def smallest(self) -> float:
        """CPUs of the node that has the fewest, nodes without any left out; 1 where there are none."""
        import ray

        found = (node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"])
        return min(filter(None, found), default=1.0)

    @property
    def logs(self) -> str:
        """The folder in which Ray says what happened, on each node."""
        import ray

        context = ray.get_runtime_context()
        return os.path.join(context.get_temp_dir(), context.get_session_name(), "logs")

    def close(self) -> None:
        """Leave it, and end it if it was started here."""
        import ray

        if self._own:
            self._own = False
            ray.shutdown()
            _set_mode(self._mode)


def _connect(address: str) -> None:
    import ray
    from ray.exceptions import RayError

    if address not in ("local", "auto"):
        knock(address)
    own = address == "local"
    _set_mode(os.environ.get(_MODE))
    with _silenced(), _muted(), _kept_signal():
        try:
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                include_dashboard=False if own else None,
                object_store_memory=_OBJECTS if own else None,
            )
        except (ConnectionError, RuntimeError, ValueError, RayError) as error:
            asked = "start a cluster on this machine" if own else f"join the cluster at {address!r}"
            raise EngineUnreachable(f"--engine=ray: cannot {asked}: {_reason(error)}") from error
    # Its own lines would break our bar; they are in the session folder all the same.
    for handler in logging.getLogger("ray.data").handlers:
        if handler.name == "console":
            handler.setLevel(logging.CRITICAL + 1)


def _set_mode(mode: str | None) -> None:
    """Say whether tokens are asked for, and have Ray read it again.

    A cluster that is started here asks for one, and Ray leaves it at that for the whole process. The head of a cluster
    that has none could then not ask this process whether it still wants its actors, and would end them.
    """
    if mode is None:
        os.environ.pop(_MODE, None)
    else:
        os.environ[_MODE] = mode
    # Private: without it a process is to join clusters that ask for a token, or those that do not.
    with suppress(ImportError, AttributeError, TypeError):
        private = import_module("ray._raylet")
        private.Config.initialize("")
        private.AuthenticationTokenLoader.instance().reset_cache()


def _reason(error: BaseException) -> str:
    """Ray's last sentence, or ours where that one hides a missing token or names Ray's own options."""
    said, cause = str(error), error.__cause__
    while cause is not None:
        said, cause = f"{cause}\n{said}", cause.__cause__
    if re.search("AUTH_MODE|auth_token|AuthToken|UnauthenticatedError|Unauthenticated:", said):
        return (
            "it asks for a token, which is missing or another one: set RAY_AUTH_MODE=token, with the token in "
            "RAY_AUTH_TOKEN or ~/.ray/auth_token."
        )
    if "Could not find any running Ray instance" in said:
        return "this machine belongs to none: give HOST:PORT of its head, or no address to start one here."
    return said.strip().rpartition("\n")[2].strip()


@contextmanager
def _silenced() -> Iterator[None]:
    added = {name: value for name, value in _QUIET.items() if name not in os.environ}
    os.environ.update(added)
    try:
        with warnings.catch_warnings():
            # It uses what it calls deprecated.
            warnings.simplefilter("ignore")
            yield
    finally:
        for name in added:
            del os.environ[name]


@contextmanager
def _muted() -> Iterator[None]:
    """Ray's libraries write a line about their log level to the descriptor itself."""
    terminal = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


@contextmanager
def _kept_signal() -> Iterator[None]:
    """Ray would answer SIGTERM for the whole program from now on."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _fitting(node: Mapping[str, float], wanted: Mapping[str, float]) -> int:
    cpus, gpus = wanted["CPU"], wanted["GPU"]
    found = [_times(node.get("CPU", 0), cpus)] if cpus else []
    if gpus:
        there = node.get("GPU", 0)
        # A share of a GPU lies on one GPU: 0.4 fit twice into each.
        found.append(int(there) * _times(1, gpus) if gpus < 1 else _times(there, gpus))
    return min(found, default=0)


def _times(there: float, amount: float) -> int:
    # 49 times a 49th is less than one.
    return int(there / amount + 1e-6)
