# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Chromium without a window, driven by chromedriver: WebDriver's requests over HTTP, nothing else is needed.

    with Browser() as page:
        page.open("file:///page.html")
        page.run("return document.title")
"""

import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
LACKS = None if CHROMIUM and DRIVER else "needs a browser (Debian: chromium, chromium-driver)"
WAIT = 60  # seconds: against a hang

# What the keys of a keyboard are called, and their numbers in WebDriver.
KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Escape": "\ue00c", "ArrowLeft": "\ue012", "ArrowUp": "\ue013",
        "ArrowRight": "\ue014", "ArrowDown": "\ue015", "Home": "\ue011", "End": "\ue010"}


# For scripts: colour(text), as [r, g, b, opacity] of 255, and its luminance, light([r, g, b]), from 0 to 1, as WCAG has it.
COLOURS = """
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const seen = new Map();
    const colour = (text) => {
        if (!seen.has(text)) {
            canvas.clearRect(0, 0, 1, 1);
            canvas.fillStyle = text;
            canvas.fillRect(0, 0, 1, 1);
            seen.set(text, [...canvas.getImageData(0, 0, 1, 1).data]);
        }
        return seen.get(text);
    };
    const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
"""


class Browser:
    def __init__(self, directory):
        """directory: where the browser keeps what it remembers, and the driver its log."""
        log = directory / "chromedriver.log"
        self._driver = subprocess.Popen([DRIVER, "--port=0", f"--log-path={log}", "--log-level=INFO"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._session = ""
        try:
            self._begin(directory)
        except BaseException:
            self._end()
            raise

    def _begin(self, directory):
        said = next((line for line in self._driver.stdout if "successfully on port" in line), None)
        assert said, "chromedriver has ended at once"
        self._root = f"http://127.0.0.1:{said.rsplit(' ', 1)[1].strip('. ' + chr(10))}"
        options = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={directory / 'profile'}"]
        options += ["--no-sandbox"] if os.geteuid() == 0 else []
        options += ["about:blank"]
        wanted = {"browserName": "chrome", "goog:chromeOptions": {"binary": CHROMIUM, "args": options},
                  "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        self._session = "/session/" + self._ask("POST", "/session", capabilities={"alwaysMatch": wanted})["sessionId"]

    def _end(self):
        self._driver.terminate()
        self._driver.communicate(timeout=WAIT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self._ask("DELETE", "")
        finally:
            self._end()

    def _ask(self, method, path, **body):
        data = json.dumps(body).encode() if method == "POST" else None
        request = urllib.request.Request(self._root + self._session + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=WAIT) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(json.load(error)["value"]["message"]) from None

    def open(self, url):
        self._ask("POST", "/url", url="about:blank")  # else another #place of a page is no new page
        self._ask("POST", "/url", url=url)

    def run(self, script, *arguments):
        """What this piece of JavaScript returns; its arguments are in `arguments`."""
        return self._ask("POST", "/execute/sync", script=script, args=arguments)

    def press(self, *keys):
        """Keys, one after the other, as a person would: names, or characters."""
        strokes = [{"type": kind, "value": KEYS.get(key, key)} for key in keys for kind in ("keyDown", "keyUp")]
        self._ask("POST", "/actions", actions=[{"type": "key", "id": "keyboard", "actions": strokes}])

    def look(self, width, height=800, scheme="light"):
        """As a window of this size, in this colour scheme."""
        self._tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        self._tell("Emulation.setEmulatedMedia", features=[{"name": name, "value": value} for name, value in features.items()])

    def _tell(self, command, **parameters):
        self._ask("POST", "/goog/cdp/execute", cmd=command, params=parameters)

    def complaints(self):
        """What was said on the console since the last time."""
        return [entry["message"] for entry in self._ask("POST", "/se/log", type="browser")]

    def requests(self):
        """The addresses that were fetched since the last time."""
        messages = (json.loads(entry["message"])["message"] for entry in self._ask("POST", "/se/log", type="performance"))
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
