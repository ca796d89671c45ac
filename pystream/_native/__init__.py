"""The only compiled code: `_core` (pybind11) wraps handles, `_records` (Cython) loops.

The rest of the package takes names from here and never from the modules themselves.
"""

from pystream._native._core import *  # noqa: F403
