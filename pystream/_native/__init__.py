"""The only compiled code: `_core` (pybind11) wraps handles, Cython loops over Python objects.

`_cells`, `_encoder`, `_delivery` and `_producer` are the way of a record into a batch, `_records`
the way out, `_headers` what both take along. `_batches` hands out batches. `_guard` holds locks
where Ctrl-C may come. The rest of the package takes names from here and never from the modules
themselves.
"""

from pystream._native._batches import *  # noqa: F403
from pystream._native._cells import *  # noqa: F403
from pystream._native._core import *  # noqa: F403
from pystream._native._delivery import *  # noqa: F403
from pystream._native._encoder import *  # noqa: F403
from pystream._native._guard import *  # noqa: F403
from pystream._native._headers import *  # noqa: F403
from pystream._native._producer import *  # noqa: F403
from pystream._native._records import *  # noqa: F403
