# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What takes long, shown on stderr: bars on a terminal, by tqdm where that is installed; else one line a step."""

import contextlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

AFTER = 1.0  # seconds: what is over by then needs no bar


class Progress:
    """Called with a step's name and how much of it is done, 0.0 to 1.0. close() ends the last step's bar."""

    def __init__(self, command: str):
        self._command = command
        self._step: str | None = None
        self._bar: Any = None
        self._terminal = sys.stderr.isatty()

    def __call__(self, step: str, done: float) -> None:
        if step != self._step:
            self.close()
            self._step = step
            if self._terminal:
                self._bar = open_bar(step)
            else:
                print(f"vfu {self._command}: {step}", file=sys.stderr, flush=True)
        if self._bar is not None:
            self._bar.n = min(max(done, 0.0), 1.0)
            self._bar.refresh()
            if done >= 1.0:
                self._bar.close()
                self._bar = None

    def close(self) -> None:
        """Leaves the cursor in a line of its own."""
        if self._bar is not None:
            self._bar.close()
        self._step = self._bar = None


@contextlib.contextmanager
def bar(command: str, quiet: bool = False) -> Iterator[Callable[[str, float], None]]:
    """A Progress for what may be over at once: on a terminal alone, after a while, and not while quiet."""
    start, progress = time.monotonic(), Progress(command)
    quiet = quiet or not sys.stderr.isatty()

    def step(name: str, done: float) -> None:
        if not quiet and time.monotonic() - start >= AFTER:
            progress(name, done)

    with contextlib.closing(progress):
        yield step


def open_bar(step: str) -> Any:
    """tqdm's, or ours with as much of its interface as is needed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return PlainBar(step)
    return tqdm(total=1.0, desc=step, file=sys.stderr, bar_format="{desc} {percentage:3.0f}% |{bar}| {elapsed}")


class PlainBar:
    """fetching QEMU  42% [########            ]"""

    def __init__(self, step: str):
        self._step, self.n = step, 0.0

    def refresh(self) -> None:
        """Draws it anew."""
        width = max(10, min(40, shutil.get_terminal_size().columns - len(self._step) - 10))
        done = "#" * int(self.n * width)
        print(f"\r{self._step} {self.n:4.0%} [{done:{width}}]", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Ends its line."""
        print(file=sys.stderr, flush=True)
