# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Chromium without a window, driven by chromedriver: WebDriver's requests over HTTP, nothing else is needed.

    with Browser() as page:
        page.open("file:///page.html")
        page.run("return document.title")
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

CHROMIUM, DRIVER = "chromium", "chromedriver"
WAIT = 60  # seconds: against a hang


def complaint(program):
    """Why a program can not be used; None: it can."""
    path = shutil.which(program)
    if path is None:
        return f"there is no {program}"
    real = os.path.realpath(path)
    with open(real, "rb") as file:
        is_snap = real.startswith("/snap/") or real.endswith("/snap") or b"/snap/bin" in file.read(4096)
    if is_snap:
        return f"{path} is a snap's, which sees no files of ours"
    run = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=WAIT, env=environment())
    return f"{path} does not run: {(run.stderr or run.stdout).strip()[-200:]}" if run.returncode else None


def need(*more):
    """Skips a module of tests where there is no browser, or these things, too, are lacking: sentences, or None."""
    lacks = "; ".join(filter(None, (complaint(CHROMIUM), complaint(DRIVER), *more)))
    if lacks:
        pytest.skip(f"needs a browser (Debian: chromium, chromium-driver): {lacks}", allow_module_level=True)


def environment(**more):
    """Without a sanitizer's library, for programs that are not ours."""
    return {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"} | more


def held(pid):
    """A process and all below it, the lowest first, as descriptors, which never mean another one."""
    below = []
    with contextlib.suppress(OSError):  # it has ended
        for task in Path("/proc", str(pid), "task").iterdir():
            below += [one for child in (task / "children").read_text().split() for one in held(int(child))]
        below.append(os.pidfd_open(pid))
    return below

# What the keys of a keyboard are called, and their numbers in WebDriver.
KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Escape": "\ue00c", "ArrowLeft": "\ue012", "ArrowUp": "\ue013",
        "ArrowRight": "\ue014", "ArrowDown": "\ue015", "Home": "\ue011", "End": "\ue010"}


# For scripts: colour(text), as [r, g, b, opacity] of 255, and its luminance, light([r, g, b]), from 0 to 1, as WCAG has it.
COLOURS = """
    const canvas = document.createElementNS("http://www.w3.org/1999/xhtml", "canvas").getContext("2d", { willReadFrequently: true });
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

# Returns how many pieces of text are seen, and of those whose contrast to what is behind them is less than WCAG AA wants (4.5,
# of large ones 3) the element, its colour and ground, and the contrast. Text is what stands there, and what a style adds to it.
POOR_TEXT = COLOURS + """
    const over = ([r, g, b, a], below, opacity) => [r, g, b].map((v, i) => below[i] + (v - below[i]) * a / 255 * opacity);
    const grounds = new Map([[null, [255, 255, 255]]]), opacities = new Map([[null, 1]]);
    const opacity = (node) => {
        if (!opacities.has(node))
            opacities.set(node, opacity(node.parentElement) * getComputedStyle(node).opacity);
        return opacities.get(node);
    };
    const ground = (node) => {
        if (!grounds.has(node))
            grounds.set(node, over(colour(getComputedStyle(node).backgroundColor), ground(node.parentElement), opacity(node)));
        return grounds.get(node);
    };
    // In a picture what is painted below a piece of text is no parent of it.
    const painted = (node) => {
        const box = node.getBoundingClientRect();
        const below = document.elementsFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2);
        const shape = below.find((one) => !one.closest("text") && one.ownerSVGElement && getComputedStyle(one).fill !== "none");
        return shape ? over(colour(getComputedStyle(shape).fill), [255, 255, 255], 1) : [255, 255, 255];
    };
    const poor = new Map();
    let count = 0;
    const look = (node, pseudo) => {
        const style = getComputedStyle(node, pseudo), size = parseFloat(style.fontSize), box = node.getBoundingClientRect();
        if (style.visibility !== "visible" || box.width <= 1 || box.height <= 1 || opacity(node) === 0)
            return;
        const behind = node.ownerSVGElement ? painted(node) : ground(node);
        const ink = over(colour(node.ownerSVGElement ? style.fill : style.color), behind, opacity(node));
        const [a, b] = [light(ink), light(behind)], ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        count++;
        if (ratio < (size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5))
            poor.set([node.tagName, node.getAttribute("class"), "in", node.parentElement.getAttribute("class"), pseudo || "",
                      ink.map(Math.round), "on", behind.map(Math.round)].join(" "), Math.round(ratio * 100) / 100);
    };
    const walk = document.createTreeWalker(document.body || document.documentElement, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const node = walk.currentNode.parentElement;
        if (walk.currentNode.data.trim() && node.getClientRects().length && !node.closest("script, style, option, title, desc"))
            look(node);
    }
    for (const node of document.querySelectorAll("*")) {
        if (node.placeholder && !node.value && node.getClientRects().length)
            look(node, "::placeholder");
        for (const pseudo of ["::before", "::after"])
            if (/^".*\\S.*"$/.test(getComputedStyle(node, pseudo).content) && node.getClientRects().length)
                look(node, pseudo);
    }
    return [count, [...poor]];"""


class Browser:
    def __init__(self, directory, binary=CHROMIUM, wait=WAIT):
        """directory: where the browser keeps what it remembers, and the driver its log."""
        log = directory / "chromedriver.log"
        self._driver = subprocess.Popen([DRIVER, "--port=0", f"--log-path={log}", "--log-level=INFO"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment(HOME=str(directory)))
        self._session, self._wait = "", wait
        try:
            self._begin(directory, shutil.which(str(binary)))
        except BaseException:
            self._end()
            raise

    def _begin(self, directory, binary):
        said = next((line for line in self._driver.stdout if "successfully on port" in line), None)
        assert said, "chromedriver has ended at once"
        self._root = f"http://127.0.0.1:{said.rsplit(' ', 1)[1].strip('. ' + chr(10))}"
        # What is shown is ours; a sandbox neither root nor everybody's container has.
        options = ["--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--no-sandbox", f"--user-data-dir={directory / 'profile'}",
                   "about:blank"]
        wanted = {"browserName": "chrome", "goog:chromeOptions": {"binary": binary, "args": options},
                  "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        self._session = "/session/" + self._ask("POST", "/session", capabilities={"alwaysMatch": wanted})["sessionId"]

    def _end(self):
        """Ends the driver, and before it a browser with which no session has come: the driver would wait for that one."""
        for process in held(self._driver.pid):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(process, signal.SIGKILL)
            os.close(process)
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
            with urllib.request.urlopen(request, timeout=self._wait) as answer:
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
