# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu serve: gives a device class of a file to clients.

Follows the conventions for backends: stays in the foreground, --socket-path or --fd, SIGTERM ends it with status 0.
"""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import json
import os
import signal
import sys
import traceback
import types
import typing
from collections.abc import Callable, Iterable, Iterator

import vfu

from .error import CommandError


# What the conventions ask of every backend; what a program has besides are its features.
CONVENTIONS = {"--help", "--socket-path", "--fd", "--print-capabilities"}


def features() -> list[str]:
    """The options of vfu serve that not every backend has."""
    parser = add_to(argparse.ArgumentParser().add_subparsers())
    options = {action.option_strings[-1] for action in parser._actions if action.option_strings}
    return sorted(option.removeprefix("--") for option in options - CONVENTIONS)


class PrintCapabilities(argparse.Action):
    """--print-capabilities: for management tools."""

    def __init__(self, option_strings: list[str], dest: str, **kwargs: typing.Any) -> None:
        super().__init__(option_strings, dest, help="print what this program can do, as JSON, and end", **kwargs)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(json.dumps({"type": "vfio-user", "features": features()}))
        parser.exit()


EPILOG = """\
examples:
  vfu serve counter.py --socket-path=/tmp/counter.sock
  vfu serve counter.py:Counter --socket-path=/tmp/counter.sock --log-level=debug --policy=bus_master=ignore"""


def pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def argument(text: str) -> tuple[str, str]:
    """A device's, of which the value may be empty."""
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def add_to(commands: typing.Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "serve", help="serve a device", description=str(__doc__).partition("\n")[0], epilog=EPILOG
    )
    parser.add_argument("file", metavar="FILE.py[:CLASS]", help="where the vfu.Device subclass is")
    parser.add_argument("arguments", metavar="NAME=VALUE", type=argument, nargs="*",
                        help="arguments of the class: numbers, on and off, or text, as its __init__ says")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--socket-path", metavar="PATH", help="listen here")
    where.add_argument("--fd", type=int, metavar="N", help="serve this inherited socket, listening or connected")
    parser.add_argument("--policy", type=pair, action="append", default=[], metavar="FIELD=CHOICE",
                        help="behaviour where the protocol leaves a choice; bus_master=enforce is the default")
    parser.add_argument("--profile", help="a set of such choices: default, strict, libvfio-user")
    parser.add_argument("--option", type=pair, action="append", default=[], metavar="NAME=NUMBER",
                        help="a limit: timeout_ms, queue_bytes, ...")
    parser.add_argument("--capability", type=pair, action="append", default=[], metavar="NAME=VALUE",
                        help="what it says in VERSION: max_msg_fds=8, write_multiple=false, ...")
    parser.add_argument("--log-level", choices=["error", "warning", "info", "debug"], default="warning",
                        help="debug shows each message with its fields")
    parser.add_argument("--print-capabilities", action=PrintCapabilities, nargs=0)
    parser.set_defaults(function=run)
    return parser


def reason(error: BaseException, path: str) -> str:
    """What was raised, and by which line of the file."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    # Up to Python 3.11 what __set_name__() raises comes wrapped.
    if isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    place = f" ({os.path.basename(path)}, line {lines[-1]})" if lines else ""
    text = error.strerror if isinstance(error, vfu.Error) else f"{type(error).__name__}: {error}"
    return f"{text}{place}"


def load(path: str) -> types.ModuleType:
    """The module in a file."""
    if not os.path.isfile(path):
        raise CommandError(f"there is no file {path}")
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise CommandError(f"{path} is no Python file: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    sys.modules.setdefault(name, module)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise CommandError(f"{path} cannot be loaded: {reason(error, spec.origin or path)}") from error
    return module


def find_class(text: str) -> type[vfu.Device]:
    """The device class that FILE.py or FILE.py:CLASS means."""
    path, colon, name = text.rpartition(":")
    if not colon:
        path = text
    module = load(path)
    classes = {
        key: value
        for key, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, vfu.Device) and value.__module__ == module.__name__
    }
    names = ", ".join(sorted(classes)) or "none"
    if colon:
        if name not in classes:
            raise CommandError(f"{path} has no device class {name}; it has: {names}")
        return classes[name]
    if len(classes) != 1:
        raise CommandError(f"{path} must have one subclass of vfu.Device (else: {path}:CLASS); it has: {names}")
    return next(iter(classes.values()))


def make(cls: type[vfu.Device], arguments: Iterable[tuple[str, str]] = ()) -> vfu.Device:
    given = dict(keyword_arguments(cls, arguments))
    try:
        return cls(**given)
    except Exception as error:
        raise CommandError(f"{cls.__name__} cannot be made: {reason(error, inspect.getfile(cls))}") from error


SWITCH = {"on": True, "yes": True, "true": True, "1": True, "off": False, "no": False, "false": False, "0": False}
# What a text is to become: how, and what is said of one that cannot.
KINDS: dict[object, tuple[Callable[[str], object], str]] = {
    bool: (lambda text: SWITCH[text.lower()], "on or off"),
    int: (lambda text: int(text, 0), "an integer"),
    float: (float, "a number"),
    str: (str, "text"),
}


def keyword_arguments(
    cls: type[vfu.Device], arguments: Iterable[tuple[str, str]]
) -> Iterator[tuple[str, typing.Any]]:
    """Those of the command line, as the class wants them: by its annotations, or its defaults' types; else text."""
    known = dict(list(inspect.signature(cls.__init__).parameters.items())[1:])
    try:
        annotated = typing.get_type_hints(cls.__init__)
    except Exception:  # of names that are for checkers only
        annotated = {}
    names = [name for name, value in known.items() if value.kind not in (value.VAR_POSITIONAL, value.VAR_KEYWORD)]
    for name, text in arguments:
        if name not in names:
            raise CommandError(f"{cls.__name__} has no argument {name}; it has: {', '.join(names) or 'none'}")
        kind = annotated.get(name, type(known[name].default))
        convert, wanted = KINDS.get(kind, KINDS[str])
        try:
            yield name, convert(text)
        except (ValueError, KeyError):
            raise CommandError(f"{cls.__name__}: {name} must be {wanted}, not {text!r}") from None


def number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise CommandError(f"{text!r} is not a number") from None


def number_or_bool(text: str) -> int | bool:
    return {"true": True, "false": False}[text] if text in ("true", "false") else number(text)


class Ending:
    """SIGTERM and SIGINT end the command with status 0, from its very start."""

    def __init__(self) -> None:
        self.server: vfu.Server | None = None
        for number_ in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number_, self.end)

    def end(self, *_: object) -> None:
        if self.server is None:
            sys.exit(0)
        self.server.stop()


def run(options: argparse.Namespace) -> None:
    ending = Ending()
    device = make(find_class(options.file), options.arguments)
    policy = dict(options.policy)
    limits = {name: number(value) for name, value in options.option}
    capabilities = {name: number_or_bool(value) for name, value in options.capability}
    if options.log_level == "debug":
        limits.setdefault("trace", 1)
    try:
        server = vfu.Server(
            device, options.socket_path, fd=options.fd, profile=options.profile, policy=policy, options=limits,
            capabilities=capabilities,
        )
    except (TypeError, ValueError) as error:
        raise CommandError(str(error)) from error
    with server:
        ending.server = server
        server.run()
