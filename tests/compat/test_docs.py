"""`docs/from-kafka.md` shows programs before and after: they differ as it says, and no more."""

from __future__ import annotations

import re
from pathlib import Path

DOC = Path(__file__).resolve().parents[2] / "docs" / "from-kafka.md"

# The whole of porting: imports, and the setting that says where the records are.
RENAMED = [
    (r"\bfrom confluent_kafka", "from pystream.compat.confluent_kafka"),
    (r"\bfrom kafka", "from pystream.compat.kafka"),
    (r'"bootstrap\.servers": "localhost:9092"', '"log.directory": "data"'),
    (r'bootstrap_servers="localhost:9092"', 'log_directory="data"'),
]


def test_ported_programs_differ_by_imports_and_the_setting_of_the_place_alone() -> None:
    pairs = re.findall(r"^```py\n(.*?)^```.*?^```python\n(.*?)^```", DOC.read_text(), re.M | re.S)
    assert len(pairs) == 12
    for original, ported in pairs:
        assert "pystream" not in original
        renamed = original
        for pattern, replacement in RENAMED:
            renamed = re.sub(pattern, replacement, renamed)
        assert renamed == ported
