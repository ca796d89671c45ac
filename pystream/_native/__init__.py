"""The only compiled code: `_core` (pybind11) wraps handles, `_records` (Cython) loops."""
