# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The command vfu."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import vfu

from . import access, dump, explain, guest, info, log, manual, serve, shell, status, trace, wait
from .error import CommandError, TimeIsUp, UsageError
from .style import RED, paint


def parser() -> argparse.ArgumentParser:
    plain = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(prog="vfu", description="Serve and inspect vfio-user devices.", epilog=manual.section(""),
                                  formatter_class=plain)
    top.add_argument("--version", action="version", version=f"vfu {vfu.__version__}")
    # What management tools ask of every backend.
    top.add_argument("--print-capabilities", action=serve.PrintCapabilities, nargs=0)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in (serve, info, access, dump, wait, shell, explain, guest, trace, manual):
        module.add_to(commands)
    for name, command in commands.choices.items():
        log.add_to(command)
        command.formatter_class = plain
        own = command.epilog and command.epilog.strip()
        command.epilog = "\n\n".join(filter(None, [own, status.section(name), manual.section(name)]))
    return top


def commands_of(top: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """{name: its parser}"""
    return next(dict(action.choices) for action in top._actions if isinstance(action, argparse._SubParsersAction))


def complete(top: argparse.ArgumentParser) -> None:
    """Answers bash when it asks, where argcomplete is installed; else does nothing."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete  # of Debian's python3-argcomplete; bash asks only if that is there

        argcomplete.autocomplete(top)


def sentence(error: BaseException) -> str:
    """What an exception says, without its number."""
    if isinstance(error, vfu.Error) or not isinstance(error, OSError):
        return getattr(error, "strerror", None) or str(error)
    return ": ".join(str(part) for part in (error.filename, error.strerror or error) if part is not None)


def complain(command: str, error: BaseException) -> int:
    """Says what is wrong. Returns the status that it ends the command with."""
    print(paint(f"{command}: ", RED, sys.stderr) + sentence(error), file=sys.stderr)
    if isinstance(error, UsageError):
        return status.USAGE
    return status.TIMEOUT if isinstance(error, (TimeIsUp, TimeoutError)) else status.FAILED


def parse(top: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """What is asked for; words that a command does not know it says itself. SystemExit: nothing, or help is shown."""
    options, unknown = top.parse_known_args(arguments)
    if unknown:
        commands_of(top)[options.command].error(f"unrecognized arguments: {' '.join(unknown)}")
    return options


def run(top: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """The command, and what its end means."""
    command = "vfu"
    try:
        try:
            options = parse(top, arguments)
            command = f"vfu {options.command}"
            log.begin(options)
            result: int = options.function(options) or status.DONE
        finally:
            sys.stdout.flush()  # here, where what becomes of it can be told
        return result
    except BrokenPipeError as error:
        if isinstance(error, vfu.Error):  # a server's
            return complain(command, error)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whoever reads what we print has seen enough
        return status.FAILED
    except (CommandError, OSError) as error:
        return complain(command, error)


def open_streams() -> None:
    """Standard streams that were closed become /dev/null, lest a socket or a file gets the number of one."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != fd:
                os.dup2(null, fd)
                os.close(null)
            setattr(sys, name, open(fd, "w" if fd else "r", closefd=False))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command vfu: returns its exit status, which status.py has the table of."""
    open_streams()
    try:
        top = parser()
        complete(top)
        return run(top, arguments)
    except KeyboardInterrupt:
        return status.INTERRUPTED
