"""Chromium without a window and without a network, by its own protocol over a pipe."""

import base64
import contextlib
import fcntl
import itertools
import json
import os
import shutil
import subprocess

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests run as root in CI's container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
    # whatever a page asks for fails at once, and is seen
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=127.0.0.1:9",
)


class Browser:
    """One browser with one page.

    Args:
        profile: an empty directory for its files.
    """

    def __init__(self, profile):
        program = shutil.which("chromium")
        assert program, "no chromium: tools/host-packages.sh installs it"
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        # chromium reads from 3 and writes to 4; a shell puts them there
        high = [fcntl.fcntl(end, fcntl.F_DUPFD, 100) for end in (to_read, to_write)]
        command = f'exec "$@" 3<&{high[0]} 4>&{high[1]}'
        self._process = subprocess.Popen(
            (
                "bash",
                "-c",
                command,
                "-",
                program,
                *FLAGS,
                f"--user-data-dir={profile}",
                "about:blank",
            ),
            pass_fds=high,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (to_read, to_write, *high):
            os.close(end)
        self._numbers = itertools.count(1)
        self._pending = b""
        self.events = []
        self._session = None
        page = next(
            one for one in self.ask("Target.getTargets")["targetInfos"] if one["type"] == "page"
        )
        attach = self.ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attach["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            os.close(self._write)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)

    def ask(self, method, **params):
        """Return the answer to a command; events on the way are kept."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._message()).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _message(self):
        while b"\0" not in self._pending:
            data = os.read(self._read, 1 << 20)
            assert data, "chromium has ended"
            self._pending += data
        message, _, self._pending = self._pending.partition(b"\0")
        return json.loads(message)

    def open(self, path, *, scheme="light", width=1280, height=900, media="screen"):
        """Open a file and wait until it is loaded."""
        self.events.clear()
        self.ask(
            "Emulation.setEmulatedMedia",
            media=media,
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.ask("Page.navigate", url=f"file://{path}")
        while not any(one.get("method") == "Page.loadEventFired" for one in self.events):
            self.events.append(self._message())

    def value(self, expression):
        """Return what an expression gives on the page."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    def complaints(self):
        """Return console errors, exceptions and requests other than for the file itself."""
        found = []
        for event in self.events:
            method, params = event.get("method"), event.get("params", {})
            if method in {"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"}:
                found.append(params)
            if method == "Network.requestWillBeSent":
                url = params["request"]["url"]
                found += [] if url.startswith(("file://", "data:")) else [url]
        return found

    def screenshot(self, path, *, whole=True):
        """Write a picture of the page."""
        answer = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        with open(path, "wb") as file:
            file.write(base64.b64decode(answer["data"]))

    def whole_height(self):
        """Return the height of the page's content in CSS pixels."""
        return int(self.ask("Page.getLayoutMetrics")["cssContentSize"]["height"])
