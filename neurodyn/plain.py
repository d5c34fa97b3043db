"""Values as JSON takes them."""

import math
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Numbers, text, lists and dictionaries for JSON, which has no infinity and no NaN: None in their place."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
