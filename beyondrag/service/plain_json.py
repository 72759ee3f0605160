"""Dataclasses as JSON and back, checked value by value against the types of their fields.

Knows dataclasses, `tuple[T, ...]`, `Literal`, `T | None`, str, bool, int and float.  The JSON is ASCII, so
that the lone surrogates of undecodable file names come back as they were.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_json(value: Any) -> str:
    """A dataclass as JSON.  Raises ValueError for a number that is not finite."""
    return json.dumps(dataclasses.asdict(value), ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def from_json(kind: type[T], text: str) -> T:
    """The dataclass `kind` that `text` holds; unknown keys are passed over.

    Raises ValueError, which says where `text` does not fit.
    """
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"it is no JSON: {error}") from None
    made: T = _built(kind, value, kind.__name__)
    return made


@functools.cache
def _fields(kind: type) -> dict[str, tuple[Any, bool]]:
    """The type of each field of a dataclass, and whether it must be given."""
    hints = get_type_hints(kind)
    return {
        field.name: (
            hints[field.name],
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(kind)
    }


def _built(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, value, where)
    origin = get_origin(kind)
    if origin is tuple:
        return tuple(_built(get_args(kind)[0], item, where) for item in _list(value, where))
    if origin is types.UnionType:
        (inner,) = (part for part in get_args(kind) if part is not types.NoneType)
        return None if value is None else _built(inner, value, where)
    if origin is Literal:
        return _require(value in get_args(kind) and isinstance(value, str), value, where)
    return _scalar(kind, value, where)


def _dataclass(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is no object")
    given = {}
    for name, (field_kind, required) in _fields(kind).items():
        if name in value:
            given[name] = _built(field_kind, value[name], f"{where}.{name}")
        elif required:
            raise ValueError(f"{where}.{name} is missing")
    return kind(**given)


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{where} is no list")
    return value


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float:
        _require(isinstance(value, int | float) and not isinstance(value, bool), value, where)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        return _require(math.isfinite(number), number, where)
    if kind is int:
        return _require(isinstance(value, int) and not isinstance(value, bool), value, where)
    return _require(isinstance(value, kind), value, where)


def _require(fits: bool, value: Any, where: str) -> Any:
    if not fits:
        raise ValueError(f"{where} has an unfit value")
    return value
