"""Columns that are numpy's masked arrays, told apart without importing them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["separate_masks"]


def separate_masks(
    table: Mapping[str, Any],
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, npt.NDArray[np.bool_]] | None]:
    """Return the columns of a table as plain arrays, and the masks of those that have one.

    A mask is true where the value is null. ``numpy.ma`` takes milliseconds to import, and who has
    not done so has no masked array.
    """
    columns = {name: np.asarray(values) for name, values in table.items()}
    masked = sys.modules.get("numpy.ma")
    if masked is None:
        return columns, None
    masks = {
        name: masked.getmaskarray(values)
        for name, values in table.items()
        if isinstance(values, masked.MaskedArray)
    }
    return columns, masks or None
