# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What ends a command."""


class CommandError(Exception):
    """What is wrong, for people; ends the command with status 1."""
