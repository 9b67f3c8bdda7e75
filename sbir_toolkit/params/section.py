"""What all sections of the parameters have in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

Share = float


class Section(BaseModel):
    """A group of parameters: frozen, and no key but those it names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


def lay_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Lay values over others, key by key; sections are merged."""
    result = dict(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = lay_over(result[key], value)
        else:
            result[key] = value
    return result
