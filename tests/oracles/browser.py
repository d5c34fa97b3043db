"""A real browser without a window, steered over its debugging socket."""

import base64
import contextlib
import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest


class Browser:
    """One tab of headless Chromium."""

    def __init__(self, profile: Path, width: int = 1180, height: int = 760) -> None:
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if program is None:
            pytest.skip("Chromium is not installed")
        connect = pytest.importorskip("websockets.sync.client").connect
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0"]
        self._process = subprocess.Popen(
            [program, *options, f"--window-size={width},{height}", f"--user-data-dir={profile}", "about:blank"],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self._open = contextlib.ExitStack()
        self._socket = self._open.enter_context(connect(self._address(), max_size=None))
        self._number, self._session = 0, None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the debugging protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self._socket.send(json.dumps(message if self._session is None else message | {"sessionId": self._session}))
        while (answer := json.loads(self._socket.recv(30.0))).get("id") != self._number:
            pass
        return answer["result"]

    def value(self, expression: str) -> Any:
        """What a line of JavaScript gives."""
        return self.ask("Runtime.evaluate", expression=expression)["result"].get("value")

    def wait(self, expression: str, seconds: float = 20.0) -> None:
        """Wait until a line of JavaScript is true."""
        deadline = time.monotonic() + seconds
        while not self.value(expression):
            assert time.monotonic() < deadline, f"never true: {expression}"
            time.sleep(0.05)

    def screenshot(self) -> bytes:
        """PNG of what is seen."""
        return base64.b64decode(self.ask("Page.captureScreenshot")["data"])

    def close(self) -> None:
        """End the browser."""
        self._open.close()
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stderr is not None
        self._process.stderr.close()

    def _address(self) -> str:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if found := re.search(r"DevTools listening on (ws://\S+)", line):
                return found[1]
        raise AssertionError("the browser did not start")
