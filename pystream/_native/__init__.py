"""The only compiled code: pybind11 wraps handles (`_core`), Cython loops over records (`_records`)."""
