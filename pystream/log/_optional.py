"""Libraries that pystream can hand data to, but does not need."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["require"]


def require(module: str, *, extra: str) -> Any:
    """Import a library on first use, or say how to install it.

    Raises
    ------
    ImportError
        It is not installed; the message names the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{module} is not installed. Install it with: pip install 'pystream[{extra}]'",
            name=module,
        ) from error
