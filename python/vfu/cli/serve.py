# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""vfu serve: gives a device class of a file to clients.

Follows the conventions for backends: stays in the foreground, --socket-path or --fd, SIGTERM ends it with status 0.
What a service manager says is in activation.py, what becomes of the process in background.py.
"""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import json
import os
import re
import signal
import sys
import traceback
import types
import typing
from collections.abc import Callable, Iterable, Iterator

import vfu

from . import activation, background, log, settings, status
from .error import CommandError, UsageError

EPILOG = """\
signals:
  SIGTERM, SIGINT (Ctrl-C) and SIGHUP end the connection and the command, with status 0; SIGHUP not under nohup.
  A socket file goes that the command has made; one of a socket that was passed on stays.

systemd:
  A socket unit's socket is taken if neither --socket-path nor --fd is given; of several --fd=NAME takes one, by its
  FileDescriptorName=. With Accept=yes a service is one connection. Type=notify is told READY=1 and STOPPING=1.

files:
  /usr/share/qemu/vfio-user/50-vfu-serve.json  what tells management tools of this command, below the prefix it was
                                               installed with
  /usr/share/doc/python3-vfu/examples          devices to be read and served; Debian's place for them

examples:
  vfu serve counter.py --socket-path=/tmp/counter.sock
  vfu serve counter.py:Counter --socket-path=/tmp/counter.sock --log-level=debug --policy=bus_master=ignore
  vfu serve counter.py --socket-path=/tmp/counter.sock --detach --pid-file=/tmp/counter.pid --log-file=/tmp/counter.log
  kill $(cat /tmp/counter.pid)"""

# What the conventions ask of every backend; what a program has besides are its features.
CONVENTIONS = {"--help", "--socket-path", "--fd", "--print-capabilities"}


def features() -> list[str]:
    """The options of vfu serve that not every backend has."""
    parser = add_to(argparse.ArgumentParser().add_subparsers())
    log.add_to(parser)
    options = {action.option_strings[-1] for action in parser._actions if action.option_strings}
    return sorted(option.removeprefix("--") for option in options - CONVENTIONS)


class PrintCapabilities(argparse.Action):
    """--print-capabilities: for management tools."""

    def __init__(self, option_strings: list[str], dest: str, **kwargs: typing.Any) -> None:
        super().__init__(option_strings, dest, help="print what this program can do, as JSON, and end", **kwargs)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(json.dumps({"type": "vfio-user", "features": features()}))
        parser.exit()


def mode(text: str) -> int:
    """Permissions, as chmod takes them."""
    if not re.fullmatch("0*[0-7]{1,3}", text) or not int(text, 8):
        raise argparse.ArgumentTypeError(f"{text!r} is no mode in octal, 1 to 777")
    return int(text, 8)


def argument(text: str) -> tuple[str, str]:
    """A device's, or a guest's variable, of which the value may be empty."""
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def add_to(commands: typing.Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "serve", help="serve a device", description="Serves a device class of a Python file.", epilog=EPILOG
    )
    parser.add_argument("file", metavar="FILE.py[:CLASS]", help="where the vfu.Device subclass is")
    parser.add_argument("arguments", metavar="NAME=VALUE", type=argument, nargs="*", default=[],
                        help="arguments of the class: numbers, on and off, or text, as its __init__ says")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--socket-path", metavar="PATH", help="listen here")
    where.add_argument("--fd", metavar="N", type=activation.descriptor_or_name, help="serve this inherited socket, listening or connected; or its name, if "
                       "it is of a service manager")
    parser.add_argument("--socket-mode", metavar="MODE", type=mode, help="permissions of the socket's file, in octal: "
                        "660; who may write may connect, and nobody else could before (default: what the umask leaves)")
    parser.add_argument("--one-client", action="store_true",
                        help="let nobody else connect when a client has, and end when it has gone; who connects and "
                        "goes without VERSION is none")
    settings.add_to(parser, "; bus_master=enforce is the default")
    background.add_to(parser)
    parser.add_argument("--print-capabilities", action=PrintCapabilities, nargs=0)
    parser.set_defaults(function=run, log_level="warning")
    take_arguments_anywhere(parser)
    return parser


def take_arguments_anywhere(parser: argparse.ArgumentParser) -> None:
    """argparse takes those of a class right behind its file alone; here they may stand behind options, too."""
    parse = parser.parse_known_args

    def parse_known_args(*args: typing.Any) -> tuple[argparse.Namespace, list[str]]:
        options, rest = parse(*args)
        late = [word for word in rest if word.partition("=")[0].isidentifier() and "=" in word]
        options.arguments = [*options.arguments, *map(argument, late)]
        return options, [word for word in rest if word not in late]

    parser.parse_known_args = parse_known_args  # type: ignore[method-assign, assignment]


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
        raise CommandError(f"{path} is a directory" if os.path.isdir(path) else f"there is no file {path}")
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
    if not colon or os.path.isfile(text):
        path, colon = text, ""
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
    missing = [name for name in required(cls) if name not in given]
    if missing:
        raise CommandError(f"{cls.__name__} wants, behind its file: {' '.join(f'{name}=VALUE' for name in missing)}")
    try:
        return cls(**given)
    except Exception as error:
        raise CommandError(f"{cls.__name__} cannot be made: {reason(error, inspect.getfile(cls))}") from error


def tell_of_ids(device: vfu.Device) -> None:
    """Says so if no guest will find it."""
    if {device.vendor_id, device.device_id} <= {0, 0xFFFF}:
        print(f"vfu serve: {type(device).__name__} is {device.vendor_id:04x}:{device.device_id:04x}, which means to Linux that "
              "there is no device: set vendor_id and device_id", file=sys.stderr)


def required(cls: type[vfu.Device]) -> list[str]:
    """Arguments without which there is no device."""
    known = list(inspect.signature(cls.__init__).parameters.values())[1:]
    return [one.name for one in known
            if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD, one.POSITIONAL_ONLY)]


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


class Ending:
    """Signals that end the command with status 0, from its very start: they interrupt what comes before the server.

    Whoever is interrupted may make another exception of it, or none; so what counts is has_come."""

    def __init__(self) -> None:
        self.server: vfu.Server | None = None
        self.has_come, self.interrupts = False, True
        for number_ in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number_ != signal.SIGHUP or signal.getsignal(number_) != signal.SIG_IGN:  # as nohup has it
                signal.signal(number_, self.end)

    def end(self, *_: object) -> None:
        self.has_come = True
        if self.server is not None:
            self.server.stop()
        elif self.interrupts:
            sys.exit(0)


def find_place(options: argparse.Namespace, manager: activation.Manager) -> tuple[str | None, int | None]:
    """At which path to listen, or which descriptor to serve."""
    if options.socket_path is not None:
        if manager.sockets:
            raise CommandError("the service manager passes sockets, which --socket-path leaves unused")
        return options.socket_path, None
    if options.socket_mode is not None:
        raise UsageError("--socket-mode is for the file of --socket-path, which is made here")
    if isinstance(options.fd, int):
        fd = activation.keep(manager.sockets, options.fd)
    elif options.fd is not None or manager.sockets:
        fd = activation.choose(manager.sockets, options.fd)
    else:
        raise UsageError(f"give --socket-path or --fd{f' ({manager.unused})' if manager.unused else ''}")
    activation.check_socket(fd)
    return None, activation.beside_streams(fd)


def run(options: argparse.Namespace) -> int:
    manager = activation.take_environment()
    place = find_place(options, manager)
    with background.Process(options) as process:
        ending = Ending()
        try:
            device = make(find_class(options.file), options.arguments)
            tell_of_ids(device)
            ending.interrupts = False  # a server that is half made would leave its socket
        except Exception:
            if not ending.has_come:
                raise
        if ending.has_come:
            return status.DONE
        with make_server(options, device, *place) as server:
            ending.server = server
            if ending.has_come:
                return status.DONE
            process.is_ready()
            manager.tell("READY=1", f"MAINPID={os.getpid()}")
            server.run()
            manager.tell("STOPPING=1")
            return status.BROKEN if server.fault and not ending.has_come else status.DONE


def make_server(options: argparse.Namespace, device: vfu.Device, socket_path: str | None, fd: int | None) -> vfu.Server:
    chosen = settings.of(options)
    if options.one_client:
        chosen["options"]["one_client"] = 1
    if options.socket_mode is not None:
        chosen["options"]["socket_mode"] = options.socket_mode
    try:
        return vfu.Server(device, socket_path, fd=fd, **chosen)
    except (TypeError, ValueError) as error:
        raise settings.complaint(error) from error
