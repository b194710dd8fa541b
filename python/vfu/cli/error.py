# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What ends a command."""


class CommandError(Exception):
    """What is wrong, for people; ends the command with status 1."""


class UsageError(CommandError):
    """The same of what stands on the command line alone: with status 2."""


class TimeIsUp(CommandError):
    """What was waited for did not come: with status 124."""
