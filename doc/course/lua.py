# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Runs the generators of codegen/ on a directory like spec/, for lesson 8."""

import functools
import os
import shutil
import subprocess
from pathlib import Path

CODEGEN = Path(__file__).resolve().parents[2] / "codegen" / "main.lua"


class Fault(Exception):
    """What the spec is refused with: file:line: sentence."""


def outside():
    """The environment of a program that is none of ours: a sanitized library is preloaded for Python alone."""
    return {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}


@functools.lru_cache
def interpreter():
    """A Lua 5.4, or None."""
    for name in os.environ.get("LUA"), "lua5.4", "lua":
        path = name and shutil.which(name)
        if path and not subprocess.run([path, "-e", "assert(_VERSION == 'Lua 5.4')"], capture_output=True, env=outside()).returncode:
            return path
    return None


def generate(output, spec):
    """The text of an output of codegen/outputs.lua, as `lua5.4 codegen/main.lua OUTPUT SPEC` writes it."""
    lua = interpreter()
    if not lua:
        raise Fault("there is no Lua 5.4 to run the generators with (Debian: apt install lua5.4)")
    done = subprocess.run([lua, str(CODEGEN), output, str(spec)], capture_output=True, text=True, env=outside())
    if done.returncode:
        raise Fault(done.stderr.strip())
    return done.stdout
