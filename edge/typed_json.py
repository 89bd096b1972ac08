"""Reads JSON into dataclasses, strictly: what has another shape than they have is refused."""

from __future__ import annotations

from typing import Any, TypeVar

from dacite import Config, DaciteError, from_dict

T = TypeVar("T")


def _number(value: object) -> float:
    """Returns a float, which JSON may have written as 2. Raises ValueError for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"expected a number, got {value!r:.80}")
    return float(value)


_STRICT = Config(cast=[tuple], type_hooks={float: _number})  # JSON knows no tuples


def typed(kind: type[T], value: Any) -> T:
    """Returns `value`, which was parsed from JSON, as a dataclass `kind`; keys that it has not are left out.

    Raises ValueError where a key is missing or holds something else.
    """
    try:
        return from_dict(kind, value, _STRICT)
    except (DaciteError, TypeError, ValueError, AttributeError, RecursionError) as exc:
        raise ValueError(f"{kind.__name__}: {exc}") from exc
