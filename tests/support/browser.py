"""A real browser: headless Chromium, driven over the WebDriver protocol with nothing but the standard library."""

import contextlib
import http.client
import json
import shutil
import subprocess
import tempfile

from support.ports import free_port
from support.sluice import LEASH, connected
from support.wait import DEADLINE, wait_until

# Headless, and on its own: no update, no synchronisation, no request but those of the page.
_ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
              "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """One window. Every look waits for what it looks for, under the deadline of all tests."""

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="sluice-browser-")
        self.port = free_port()
        self.process = subprocess.Popen([*LEASH, "chromedriver", f"--port={self.port}"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.session = ""
        try:
            connected(("127.0.0.1", self.port))
            options = {"args": [*_ARGUMENTS, f"--user-data-dir={self.profile}"]}
            capabilities = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
            made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
            self.session = f"/session/{made['sessionId']}"
        except BaseException:
            self.stop()
            raise

    def _call(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=4 * DEADLINE)
        with contextlib.closing(connection):
            connection.request(method, self.session + path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            value = json.loads(response.read())["value"]
            assert response.status == 200, f"{method} {path}: {value}"
            return value

    def open(self, url):
        self._call("POST", "/url", {"url": url})

    def reload(self):
        self._call("POST", "/refresh", {})

    def run(self, script, *arguments):
        """The value of a JavaScript function body."""
        return self._call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def text(self, selector):
        """What a reader sees of the first such element; empty: nothing."""
        return self.run("const found = document.querySelector(arguments[0]); return found && found.getClientRects().length ? found.innerText : ''", selector)

    def wait_for(self, script, what):
        return wait_until(lambda: self.run(script), what)

    def press(self, selector):
        self._call("POST", f"/element/{self._find(selector)}/click", {})

    def type(self, selector, text):
        self._call("POST", f"/element/{self._find(selector)}/value", {"text": text})

    def keys(self, *keys):
        """Pressed and released one after the other, wherever the focus is."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def _find(self, selector):
        return self._call("POST", "/element", {"using": "css selector", "value": selector})[_ELEMENT]

    def screen(self, width, height, dark=False):
        """The size of the window, and whether the system of its owner is dark."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self._devtools("Emulation.setEmulatedMedia", features=[scheme])

    def _devtools(self, command, **parameters):
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def complaints(self):
        """What the browser's console was told since the last look, errors and warnings."""
        return [entry["message"] for entry in self._call("POST", "/se/log", {"type": "browser"})
                if entry["level"] in ("SEVERE", "WARNING")]

    def stop(self):
        if self.session:
            with contextlib.suppress(OSError, AssertionError):
                self._call("DELETE", "")
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)
