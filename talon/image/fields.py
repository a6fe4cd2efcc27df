"""Rules for what is read from JSON: a program may come from anywhere, its checksums all right."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from talon.errors import ImageError

Rule: TypeAlias = tuple[str, Callable[[Any], bool]]
"""What a value must be, in words and as a test."""

_MOST = (1 << 24) - 1
_LARGEST = float(np.finfo(np.float32).max)


def _is_whole(value: object, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high  # a bool is no number


def whole(low: int, high: int) -> Rule:
    """Return the rule for integers, both limits included."""
    return f"an integer from {low} to {high}", lambda value: _is_whole(value, low, high)


def one_of(*choices: str) -> Rule:
    """Return the rule for one of some words."""
    return f"one of {choices}", lambda value: isinstance(value, str) and value in choices


def list_of(rule: Rule) -> Rule:
    """Return the rule for lists of what another rule says."""
    words, holds = rule
    return f"a list, each {words}", lambda value: isinstance(value, list) and all(map(holds, value))


def tuple_of(*rules: Rule) -> Rule:
    """Return the rule for lists of as many things as there are rules, one for each."""
    words = f"a list of {len(rules)}: {', '.join(words for words, _ in rules)}"
    return (
        words,
        lambda value: (
            isinstance(value, list)
            and len(value) == len(rules)
            and all(holds(item) for (_, holds), item in zip(rules, value, strict=True))
        ),
    )


def or_none(rule: Rule) -> Rule:
    """Return the rule for what another rule says, or null."""
    words, holds = rule
    return f"{words} or null", lambda value: value is None or holds(value)


COUNT = whole(0, _MOST)
NAME: Rule = ("a name", lambda value: isinstance(value, str) and value != "")
FLAG: Rule = ("true or false", lambda value: isinstance(value, bool))
OBJECT: Rule = ("an object", lambda value: isinstance(value, dict))
OBJECTS = list_of(OBJECT)
RANGE: Rule = (
    "a range [first, last] of coordinates from 0 on, in order",
    lambda value: (
        isinstance(value, list)
        and len(value) == 2
        and all(_is_whole(item, 0, _MOST) for item in value)
        and value[0] <= value[1]
    ),
)
SCALE: Rule = (
    f"a positive number up to {_LARGEST:.3g}",
    lambda value: type(value) in (int, float) and 0 < value <= _LARGEST,
)
SHAPE: Rule = (
    f"a list of positive integers of a product up to {_MOST}",
    lambda value: (
        isinstance(value, list)
        and all(_is_whole(dim, 1, _MOST) for dim in value)
        and math.prod(value) <= _MOST
    ),
)


def check_fields(where: str, item: object, rules: Mapping[str, Rule]) -> None:
    """Raise an ImageError unless ``item`` is an object with all these fields, rightly filled."""
    if not isinstance(item, dict):
        raise ImageError(f"{where} must be an object, not {item!r}")
    for name, (words, holds) in rules.items():
        if name not in item:
            raise ImageError(f"{where} must have the key {name!r}")
        if not holds(item[name]):
            shown = repr(item[name])
            shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
            raise ImageError(f"{where} {name} must be {words}, not {shown}")
