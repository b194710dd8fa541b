# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""Objects that have the attributes of their class and no others: to assign to a name that is misspelt does not go unnoticed."""

from __future__ import annotations

import difflib
import inspect
from typing import Any, ClassVar


class Fixed:
    """Of classes of the package; what others derive from those may have more."""

    _public: ClassVar[frozenset[str]]

    def __init_subclass__(cls, **how: Any) -> None:
        super().__init_subclass__(**how)
        said = {name for one in cls.__mro__ for name in inspect.get_annotations(one)}
        cls._public = frozenset(name for name in {*dir(cls), *said} if not name.startswith("_"))

    def __setattr__(self, name: str, value: object) -> None:
        kind = type(self)
        if not name.startswith("_") and name not in kind._public and kind.__module__.startswith("vfu."):
            near = difflib.get_close_matches(name, dir(self), 1)
            raise AttributeError(f"{kind.__name__} has no {name}{f', did you mean {near[0]}?' if near else ''}")
        super().__setattr__(name, value)
