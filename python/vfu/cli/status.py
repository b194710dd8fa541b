# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""With what status each command ends: one table, which the help texts and the manual pages show.

tests/py/test_exit_status.py holds the commands to it.
"""

from __future__ import annotations

DONE, FAILED, USAGE, BROKEN, TIMEOUT, NO_GUEST, INTERRUPTED = 0, 1, 2, 3, 124, 125, 130

ALL = {
    DONE: "it is done",
    FAILED: "it failed; standard error says why in one line",
    USAGE: "wrong usage: arguments that mean nothing",
    TIMEOUT: "time is up: it was not done within --timeout",
    INTERRUPTED: "Ctrl-C",
}
_UNTIMED = {status: text for status, text in ALL.items() if status != TIMEOUT}
_ENDED = {status: text for status, text in _UNTIMED.items() if status != INTERRUPTED}
_BROKEN = {BROKEN: "a message breaks a rule of the protocol"}

# Of those commands that are not as ALL says.
OF: dict[str, dict[int, str]] = {
    "serve": _ENDED | {
        DONE: "it was told to end (SIGTERM, SIGINT, SIGHUP), or its only client has closed the connection",
        BROKEN: "the connection of the only client ended otherwise: it broke the protocol, or said nothing in time",
    },
    "wait": ALL | {DONE: "it came", TIMEOUT: "time is up: it did not come within --timeout, or the server did not answer"},
    "shell": ALL | {DONE: "the prompt was left, or the code has ended; exit(N) ends with N",
                    FAILED: "there is no connection, or the code has raised something"},
    "help": {DONE: "it is shown", USAGE: ALL[USAGE]},
    "explain": _UNTIMED | {FAILED: "nothing is known of WHAT"} | _BROKEN,
    "trace": _ENDED | {
        DONE: "it was told to end (SIGTERM, SIGINT), the client of --one-client has gone, or all of --read was shown",
        BROKEN: "with --read: a message breaks a rule of the protocol",
    },
    "guest": {
        DONE: "this and all others that are not named here: what the script ended with, else the shell",
        FAILED: "a file or socket is not there, or an argument is of no use; standard error says so", USAGE: ALL[USAGE],
        TIMEOUT: "time is up: --timeout", NO_GUEST: "no guest, or it ended too early, or a device's server did",
        INTERRUPTED: ALL[INTERRUPTED],
    },
}


def of(command: str) -> dict[int, str]:
    """What each status of a command means, in order."""
    return dict(sorted(OF.get(command, ALL).items()))


def section(command: str) -> str:
    """That, for its help."""
    return "exit status:\n" + "\n".join(f"  {status:<5}{text}" for status, text in of(command).items())
