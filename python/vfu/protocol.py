# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""The protocol's numbers, layouts and checks, generated from the specification."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vfu_protocol import *  # noqa: F403
    from vfu_protocol import __all__  # noqa: F401
else:
    # The generated module takes longer to read than the rest of the package: only who uses it waits for it.

    def _load():
        import vfu_protocol

        globals().update({name: getattr(vfu_protocol, name) for name in ("__all__", *vfu_protocol.__all__)})

    def __getattr__(name):
        if name == "__all__" or not name.startswith("_"):
            _load()
            if name in globals():
                return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        _load()
        return sorted(globals())
