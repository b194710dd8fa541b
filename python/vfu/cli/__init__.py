# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The command vfu."""

import argparse
import logging
import os
import sys

import vfu

from . import access, explain, guest, info, serve, trace
from .error import CommandError


def parser():
    top = argparse.ArgumentParser(prog="vfu", description="Serve and inspect vfio-user devices.")
    top.add_argument("--version", action="version", version=f"vfu {vfu.__version__}")
    # What management tools ask of every backend.
    top.add_argument("--print-capabilities", action=serve.PrintCapabilities, nargs=0)
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in (serve, info, access, explain, guest, trace):
        module.add_to(commands)
    return top


def complete(top):
    """Answers bash when it asks, where argcomplete is installed; else does nothing."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete  # of Debian's python3-argcomplete; bash asks only if that is there

        argcomplete.autocomplete(top)


def main(arguments=None):
    top = parser()
    complete(top)
    options = top.parse_args(arguments)
    logging.basicConfig(
        format="vfu: %(levelname)s: %(message)s",
        # What goes wrong in a command that is over at once is its one line.
        level=getattr(options, "log_level", "critical").upper(),
        stream=sys.stderr,
    )
    try:
        status = options.function(options) or 0
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever reads what we print has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except (CommandError, OSError) as error:
        text = error.strerror if isinstance(error, vfu.Error) else error
        print(f"vfu {options.command}: {text}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
