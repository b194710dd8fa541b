# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu shell: a Python prompt with a served device. What it has there: workbench.py.

    a terminal     IPython, if it is there, else Python's own prompt with readline
    -c CODE        runs it, and shows what its last expression is
    a pipe, file   runs what comes from there as a script
"""

from __future__ import annotations

import argparse
import ast
import builtins
import code
import contextlib
import keyword
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import vfu
from vfu.client.regions import REGION_NAMES

from . import status
from .connection import add_device, add_enable, add_socket
from .error import CommandError
from .names import Names
from .workbench import Array, Registers, Workbench

HISTORY = 10_000  # lines that are kept

EPILOG = """\
At the prompt there are dev, a connected vfu.Client, and its parts: bar0... config, irqs, dma. With --device the
registers of the class are attributes of regs, to be read and set; they are not read to be completed. info(),
hexdump(bar0, 0, 64) and wait(timeout=1) show things, and reconnect() connects again when the server has gone. The
device's access to memory is served while the prompt waits. Ctrl-C gives the prompt back, Ctrl-D ends.

IPython is used if it is there (Debian: python3-ipython). Without a terminal a script is read from standard input.

files:
  $XDG_STATE_HOME/vfu  what was typed, by default ~/.local/state/vfu

examples:
  vfu shell /tmp/counter.sock --device counter.py < /dev/null
  vfu shell /tmp/counter.sock --device counter.py -c 'regs.ticks = 7; regs.ticks'
  vfu shell /tmp/counter.sock -c 'hexdump(config, 0, 16)'"""


def add_to(commands: Any) -> None:
    """The command."""
    parser = commands.add_parser(
        "shell", help="a Python prompt with a device", description="Gives a Python prompt with a served device.",
        epilog=EPILOG)
    add_socket(parser, about="wait so long for each answer, and for all that is asked to begin with (5)")
    add_device(parser)
    add_enable(parser)
    parser.add_argument("-c", metavar="CODE", dest="code",
                        help="run this and show what its last expression is, rather than give a prompt")
    parser.add_argument("--plain", action="store_true", help="Python's own prompt, though IPython is there")
    parser.set_defaults(function=run, log_level="warning")


def run(options: argparse.Namespace) -> int:
    """A prompt, or what was said instead."""
    names = Names.of_file(options.device)
    with Workbench(options, names) as bench:
        if options.code is not None:
            return execute(options.code, "-c", bench.namespace, show=True)
        if not sys.stdin.isatty():
            return execute(sys.stdin.read(), "standard input", bench.namespace, show=False)
        if not options.plain:
            ipython(bench)
        plain(bench)
    return status.DONE


# ---- without a prompt ----


def execute(text: str, name: str, namespace: dict[str, Any], show: bool) -> int:
    """Runs a program. What it raises is told with its place there; the status that this means is returned."""
    try:
        tree = ast.parse(text, name)
        last = tree.body.pop() if show and tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, name, "exec"), namespace)
        if isinstance(last, ast.Expr):
            sys.displayhook(eval(compile(ast.Expression(last.value), name, "eval"), namespace))
    except BrokenPipeError as error:
        if not isinstance(error, vfu.Error):
            raise  # nobody reads what we print
        return tell(error, name)
    except Exception as error:
        return tell(error, name)
    return status.DONE


def tell(error: Exception, name: str) -> int:
    """A device's no in one line, all else as Python does, from the program's own lines on."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != name:
        trace = trace.tb_next
    if isinstance(error, NameError) and error.name in REGION_NAMES:
        error = CommandError(f"the device has no region {error.name}")
    if trace is None or not isinstance(error, (vfu.Error, CommandError)):
        traceback.print_exception(type(error), error, trace)
    else:
        print(f"vfu shell: {name}, line {trace.tb_lineno}: {sentence(error)}", file=sys.stderr)
    return status.TIMEOUT if isinstance(error, TimeoutError) else status.FAILED


def sentence(error: BaseException) -> str:
    text = error.strerror if isinstance(error, vfu.Error) else str(error)
    return f"{text}; reconnect() connects again" if isinstance(error, vfu.Disconnected) else f"{text}"


# ---- prompts ----


def state_directory() -> Path:
    """Where what was typed is kept; made if need be."""
    place = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "vfu"
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    return place


class Completer:
    """Names, and attributes by dir() alone: nothing is read of a device to find out what it is."""

    def __init__(self, namespace: dict[str, Any]):
        self.namespace = namespace
        self.matches: list[str] = []

    def complete(self, text: str, state: int) -> str | None:
        """As readline asks, again and again."""
        if state == 0:
            self.matches = self.find(text)
        return self.matches[state] if state < len(self.matches) else None

    def find(self, text: str) -> list[str]:
        """All that the text may become."""
        *path, start = text.split(".")
        if not path:
            names = {*self.namespace, *dir(builtins), *keyword.kwlist}
            return sorted(name for name in names if name.startswith(start) and name[:2] != "__")
        thing: Any = self.namespace.get(path[0], getattr(builtins, path[0], None))
        for name in path[1:]:
            if isinstance(thing, (Registers, Array, vfu.Config)) or not hasattr(type(thing), "__dict__"):
                return []
            thing = getattr(thing, name, None)
        hidden = not start.startswith("_")
        names = {name for name in dir(thing) if name.startswith(start) and not (hidden and name.startswith("_"))}
        return [".".join([*path, name]) for name in sorted(names)]


class Prompt(code.InteractiveConsole):
    """Python's, which says in one line what a device refuses."""

    def showtraceback(self) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, (vfu.Error, CommandError)):
            self.write(f"{type(error).__name__}: {sentence(error)}\n")
        elif isinstance(error, KeyboardInterrupt):
            self.write("\nKeyboardInterrupt\n")
        else:
            super().showtraceback()


@contextlib.contextmanager
def line_editing(namespace: dict[str, Any]) -> Iterator[None]:
    """Completion and history, as far as there are."""
    try:
        import readline
    except ImportError as error:
        print(f"vfu shell: lines cannot be edited: {error}", file=sys.stderr)
        yield
        return
    libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
    readline.set_completer(Completer(namespace).complete)
    readline.set_completer_delims(" \t\n`~!@#$%^&*()-=+[{]}\\|;:'\",<>/?")
    try:
        history = state_directory() / "shell_history"
        history.touch(mode=0o600)
    except (OSError, RuntimeError) as error:
        print(f"vfu shell: what is typed is not kept: {error}", file=sys.stderr)
        yield
        return
    with contextlib.suppress(OSError):
        readline.read_history_file(history)
    readline.set_history_length(HISTORY)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            readline.write_history_file(history)


def plain(bench: Workbench) -> None:
    """Python's own."""
    sys.ps1, sys.ps2 = "vfu> ", "...> "
    with line_editing(bench.namespace):
        Prompt(bench.namespace).interact(bench.banner(), "")


def ipython(bench: Workbench) -> None:
    """IPython, which ends the command; returns if it is not there."""
    try:
        from IPython.core.autocall import ExitAutocall
        from IPython.terminal.ipapp import TerminalIPythonApp
    except ImportError:
        return
    app = TerminalIPythonApp.instance(user_ns=bench.namespace, display_banner=False)
    app.config.TerminalInteractiveShell.confirm_exit = False
    with contextlib.suppress(OSError, RuntimeError):
        app.config.HistoryManager.hist_file = str(state_directory() / "ipython.sqlite")
    app.initialize([])
    app.shell.set_custom_exc((vfu.Error, CommandError), say_in_ipython)
    ends: list[Any] = []

    def leave(_: object, end: Any = status.DONE) -> None:
        ends.append(end)
        app.shell.ask_exit()

    # IPython's own takes no status.
    app.shell.user_ns["exit"] = app.shell.user_ns["quit"] = type("Exit", (ExitAutocall,), {"__call__": leave})(app.shell)
    print(bench.banner())
    app.start()
    sys.exit(ends[0] if ends else status.DONE)


def say_in_ipython(shell: Any, kind: type, error: BaseException, trace: TracebackType, tb_offset: Any = None) -> None:
    print(f"{kind.__name__}: {sentence(error)}", file=sys.stderr)
