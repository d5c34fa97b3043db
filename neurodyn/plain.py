"""Values as JSON takes them."""

import json
import math
from typing import Any

import numpy as np

_STRICT = json.JSONEncoder(allow_nan=False)


def plain(value: Any) -> Any:
    """Numbers, text, lists and dictionaries for JSON, which has no infinity and no NaN: None in their place."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def strict_json(value: Any, *, indent: int | None = None) -> str:
    """JSON of what :func:`plain` makes of a value, which is asked for it only where the value is not plain already.

    Examples
    --------
    >>> strict_json({"time": 1.5, "until": float("inf"), "seen": ("spikes",)})
    '{"time": 1.5, "until": null, "seen": ["spikes"]}'
    """
    if indent is None:
        try:
            return _STRICT.encode(value)
        except (TypeError, ValueError):
            pass
    return json.dumps(plain(value), indent=indent, allow_nan=False)
