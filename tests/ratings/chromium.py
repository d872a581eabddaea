"""A real Chromium without a window, driven through its own debugging protocol."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

__all__ = ["CHROMIUM", "Tab", "opened"]

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
"""The browser's program; None where there is none."""

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--window-size=1200,900",
)
_DEADLINE = 60.0
_KEYS = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Escape": 27}


class Tab:
    """One page of the browser."""

    def __init__(self, socket: ClientConnection) -> None:
        """Wrap a connection to the tab and listen to its console and its network."""
        self._socket = socket
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []
        """What the browser refused or failed at, and errors of the page's script."""
        self.requested: list[str] = []
        """Every address that the page asked for."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One call of the protocol and its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=_DEADLINE))
            self._hear(message)
            if message.get("id") == number:
                assert "error" not in message, message["error"]
                result: dict[str, Any] = message["result"]
                return result

    def _hear(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        if message.get("method") == "Log.entryAdded":
            self.complaints.append(told["entry"]["text"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(told["exceptionDetails"]))
        elif message.get("method") == "Network.requestWillBeSent":
            self.requested.append(told["request"]["url"])

    def open(self, path: Path) -> None:
        """Open a file and wait until the page and its pictures are there."""
        self.send("Page.navigate", url=path.resolve().as_uri())
        self.until(f"location.href.endsWith({json.dumps(path.name)}) && document.readyState === 'complete'")

    def value(self, expression: str) -> Any:
        """What a script expression gives, as a JSON value."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression is true."""
        ends = time.monotonic() + _DEADLINE
        while not self.value(expression):
            assert time.monotonic() < ends, f"never true: {expression}"
            time.sleep(0.02)

    def press(self, *keys: str) -> None:
        """Press keys one after the other, as a keyboard does."""
        for key in keys:
            code = _KEYS.get(key) or ord(key)
            typed = {} if key in _KEYS else {"text": key}
            self.send("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **typed)
            self.send("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def picture(self, path: Path) -> None:
        """Write what the window shows as PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))


@contextmanager
def opened(folder: Path) -> Iterator[Tab]:
    """A browser with a profile and a place for downloads in `folder`; it ends with the block."""
    assert CHROMIUM is not None
    profile, downloads = folder / "profile", folder / "downloads"
    downloads.mkdir(parents=True)
    process = subprocess.Popen(
        [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", "about:blank"], stderr=subprocess.DEVNULL
    )
    try:
        with connect(_address(profile), max_size=None) as socket:
            tab = Tab(socket)
            tab.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
            yield tab
    finally:
        process.terminate()
        process.wait()


def _address(profile: Path) -> str:
    port, ends = profile / "DevToolsActivePort", time.monotonic() + _DEADLINE
    while not port.is_file() or "\n" not in port.read_text():
        assert time.monotonic() < ends, "the browser did not start"
        time.sleep(0.05)
    import urllib.request

    number = port.read_text().splitlines()[0]
    while True:
        with urllib.request.urlopen(f"http://127.0.0.1:{number}/json/list") as answer:
            tabs = [tab for tab in json.load(answer) if tab["type"] == "page"]
        if tabs:
            address: str = tabs[0]["webSocketDebuggerUrl"]
            return address
        assert time.monotonic() < ends, "the browser opened no tab"
        time.sleep(0.05)
