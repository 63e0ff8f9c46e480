"""How many cases a property draws: all in `make test`, a quarter of them in the fast loop."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

__all__ = ["draws"]
_WHOLE, _LEAST = 100, 3


def draws(count: int, **more: Any) -> settings:
    """Settings of a property that draws `count` cases under the profile `whole`."""
    share = settings().max_examples / _WHOLE
    return settings(max_examples=max(round(count * share), min(count, _LEAST)), **more)
