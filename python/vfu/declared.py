# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 the libvfu authors
"""What a device's class must not declare, each refused with a sentence: nearly right names, values that are no
numbers, handlers that yield or take other arguments than they are given."""

import contextlib
import difflib
import inspect
import operator
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from .errors import explain

Element = TypeVar("Element")


def number(what: str, value: Any) -> int:
    """A value that must be a whole number. TypeError: it is none."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{what} is a number, not {value!r}") from None


def element(of: Sequence[Element], index: int, name: str, error: type[IndexError] = IndexError) -> Element:
    """One of an array. error: it is shorter."""
    try:
        return of[index]
    except IndexError:
        raise error(f"{name} has {len(of)} elements, 0 to {len(of) - 1}: there is no {index}") from None


@contextlib.contextmanager
def named(cls: type, name: str) -> Iterator[None]:
    """What is wrong with a declaration says of which: Counter.bar0."""
    try:
        yield
    except OSError as error:
        explain(error, f"{cls.__name__}.{name}: {error.strerror}")
        raise
    except (TypeError, ValueError) as error:
        if not str(error).startswith(cls.__name__):
            error.args = (f"{cls.__name__}.{name}: {error}",)
        raise


def refuse_handler(function: Callable[..., Any], given: str) -> None:
    """TypeError for a function that cannot be called with what is given, "self, value", or that yields.

    Other things that can be called are taken at their word.
    """
    refuse_generator(function)
    if not isinstance(function, types.FunctionType):
        return
    signature = inspect.signature(function, follow_wrapped=False)
    try:
        signature.bind(*given.split(", "))
    except TypeError:
        name = function.__qualname__
        raise TypeError(f"{name} is declared as {name.rpartition('.')[2]}{signature}, but called with ({given})") from None


def refuse_generator(function: Callable[..., Any]) -> None:
    """TypeError for a function with yield in it: calling it runs nothing, and nobody would go on with it."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        name = getattr(function, "__qualname__", repr(function))
        raise TypeError(f"{name} yields, so it would never run: a handler is a function, or a coroutine without yield")


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def meant(name: str, known: Iterable[str]) -> str | None:
    """Which name somebody meant who wrote another."""
    known = list(known)
    same = [one for one in known if _plain(one) == _plain(name)]
    return next(iter(same or difflib.get_close_matches(name, known, 1, cutoff=0.85)), None)


def misspelt(names: Iterable[str], known: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Those of names that are one of the known but for their spelling, and which. An object's own names may well be like
    a register's: sample beside samples is no mistake, nor is _samples."""
    known = list(known)
    for name in names:
        near = None if name.startswith("_") else meant(name, known)
        if near and not (name.startswith(near) or near.startswith(name)):
            yield name, near


def says(cls: type, base: type, name: str) -> bool:
    """Whether the class has something of its own of this name."""
    return getattr(cls, name, None) is not getattr(base, name, None)


def refuse_misspelt(cls: type, base: type, names: Iterable[str], declared: tuple[type, ...]) -> None:
    """TypeError for an attribute of a subclass of base that is one of names but for its spelling.

    What is a value is held against values, a method against methods; declared: kinds of values that are what they
    look like under any name. A class that has the right name too may have a VENDOR_ID besides. Methods on_NAME are looked at where messages are (vfu.commands).
    """
    methods = {name for name in names if callable(getattr(base, name, None))}
    for parent in cls.__mro__:
        if not issubclass(parent, base) or parent is base:
            continue
        for name, value in vars(parent).items():
            if name.startswith(("_", "on_")) or hasattr(base, name) or name in names or isinstance(value, declared):
                continue
            near = meant(name, methods if callable(value) else set(names) - methods)
            is_constant = name.isupper() or near is None or _plain(name) != _plain(near)
            if near and not (is_constant and says(cls, base, near)):
                raise TypeError(
                    f"{parent.__name__}.{name} means nothing to a device, did you mean {near}? "
                    f"If it is your own, call it _{name}"
                )
