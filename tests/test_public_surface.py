"""What `import pystream` offers: fixed names, loaded when they are first used."""

from __future__ import annotations

import subprocess
import sys

import pystream


def test_every_public_name_exists() -> None:
    for name in pystream.__all__:
        assert getattr(pystream, name) is not None, name
    assert set(pystream.__all__) <= set(dir(pystream))


def test_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(pystream, "no_such_name")


def test_import_loads_no_compiled_code_and_no_numpy() -> None:
    program = (
        "import sys, pystream\n"
        "assert not {'numpy', 'sqlite3', 'pystream._native', 'pystream.log'} & set(sys.modules)\n"
        "pystream.Log\n"
        "assert 'pystream.log' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
