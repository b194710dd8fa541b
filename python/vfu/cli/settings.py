# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""--profile, --policy, --option and --capability: what servers and clients can be told of how they behave."""

from __future__ import annotations

import argparse
from typing import Any

from ..server import SettingError
from .error import CommandError, UsageError


def pair(text: str) -> tuple[str, str]:
    """NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def number(name: str, text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise UsageError(f"{name} is a number, not {text!r}") from None


def number_or_bool(name: str, text: str) -> int | bool:
    return {"true": True, "false": False}[text] if text in ("true", "false") else number(name, text)


def add_to(parser: Any, policy: str = "", profile: str = "a set of such choices: default, strict, libvfio-user") -> None:
    """The options; what their help says besides."""
    parser.add_argument("--policy", type=pair, action="append", default=[], metavar="FIELD=CHOICE",
                        help=f"behaviour where the protocol leaves a choice{policy}")
    parser.add_argument("--profile", help=profile)
    parser.add_argument("--option", type=pair, action="append", default=[], metavar="NAME=NUMBER",
                        help="a limit, or a switch: timeout_ms, queue_bytes, twin_socket, ...")
    parser.add_argument("--capability", type=pair, action="append", default=[], metavar="NAME=VALUE",
                        help="what it says in VERSION: max_msg_fds=8, write_multiple=false, ...")


def of(options: argparse.Namespace) -> dict[str, Any]:
    """As vfu.Client and vfu.Server take them."""
    return {
        "profile": options.profile, "policy": dict(options.policy),
        "options": {name: number(f"option {name}", value) for name, value in options.option},
        "capabilities": {name: number_or_bool(f"capability {name}", value) for name, value in options.capability},
    }


def complaint(error: Exception) -> CommandError:
    """What vfu.Client or vfu.Server says of its arguments: of these it is wrong usage."""
    return (UsageError if isinstance(error, SettingError) else CommandError)(str(error))
