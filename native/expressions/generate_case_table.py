"""Writes case_table.cpp: Unicode's full case mapping as Python has it, in a compact form.

Usage: python native/expressions/generate_case_table.py [--check]

With ``--check`` nothing is written; the exit status says whether the committed table is what this
Python's version of Unicode gives. What is cased, and what a final sigma looks through, Python does
not tell directly: both are read off what ``str.lower`` makes of a sigma behind each character.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

TARGET = Path(__file__).with_name("case_table.cpp")
# Without the surrogates; planes 2 to 13 hold ideographs and nothing, 15 and 16 are for private use.
CHARACTERS = [*range(0xD800), *range(0xE000, 0x20000), *range(0xE0000, 0xF0000)]
SIGMA, FINAL_SIGMA = "\u03a3", "\u03c2"


def simple_runs(convert: Callable[[str], str]) -> list[tuple[int, int, int, int]]:
    """Return first, last, step and delta of runs that map to one character each."""
    runs: list[tuple[int, int, int, int]] = []
    for code in CHARACTERS:
        mapped = convert(chr(code))
        if mapped == chr(code) or len(mapped) != 1:
            continue
        delta = ord(mapped) - code
        if runs:
            first, last, step, before = runs[-1]
            gap = code - last
            if delta == before and (gap == step or (first == last and gap <= 2)):
                runs[-1] = (first, code, gap, delta)
                continue
        runs.append((code, code, 1, delta))
    return runs


def special(convert: Callable[[str], str]) -> list[tuple[int, str]]:
    """Return what maps to several characters."""
    return [(c, convert(chr(c))) for c in CHARACTERS if len(convert(chr(c))) != 1]


def ranges(holds: Callable[[str], bool]) -> list[tuple[int, int]]:
    """Return the first and last code points of runs where `holds` is true."""
    found: list[tuple[int, int]] = []
    for code in CHARACTERS:
        if not holds(chr(code)):
            continue
        if found and found[-1][1] == code - 1:
            found[-1] = (found[-1][0], code)
        else:
            found.append((code, code))
    return found


def is_cased(character: str) -> bool:
    """Return whether a sigma behind it is a final one."""
    return (character + SIGMA).lower().endswith(FINAL_SIGMA)


def is_ignorable(character: str) -> bool:
    """Return whether a sigma looks through it for a letter before."""
    return not is_cased(character) and ("a" + character + SIGMA).lower().endswith(FINAL_SIGMA)


def table(kind: str, name: str, rows: list[str]) -> str:
    """Return the definition of an array, as many rows to a line as fit."""
    lines, line = [], "   "
    for row in rows:
        if len(line) + len(row) + 2 > 100:
            lines.append(line)
            line = "   "
        line += f" {row},"
    body = "\n".join([*lines, line])
    return f"constexpr std::array<{kind}, {len(rows)}> {name} = {{{{\n{body}\n}}}};\n"


def runs_table(name: str, convert: Callable[[str], str]) -> str:
    """Return the table of the simple mappings."""
    rows = [f"{{0x{a:x}, 0x{b:x}, {s}, {d}}}" for a, b, s, d in simple_runs(convert)]
    return table("CaseRun", name, rows)


def special_table(name: str, convert: Callable[[str], str]) -> str:
    """Return the table of the mappings to several characters."""

    def escaped(text: str) -> str:
        # The parts end where a hexadecimal digit could be taken for more of an escape.
        return "".join(f"\\{byte:03o}" for byte in text.encode())

    rows = [f'{{0x{code:x}, "{escaped(text)}"}}' for code, text in special(convert)]
    return table("SpecialCase", name, rows)


def ranges_table(name: str, holds: Callable[[str], bool]) -> str:
    """Return the table of a property."""
    return table("CodeRange", name, [f"{{0x{a:x}, 0x{b:x}}}" for a, b in ranges(holds)])


def generate() -> str:
    """Return the whole file."""
    parts = [
        f"""\
// Unicode {unicodedata.unidata_version}: how the case of letters changes. Written by \
generate_case_table.py; do not edit.
// clang-format off

#include "expressions/detail/case_table.hpp"

#include <array>

namespace pystream::expressions::detail {{
namespace {{
""",
        runs_table("kLower", str.lower),
        special_table("kLowerSpecial", str.lower),
        runs_table("kUpper", str.upper),
        special_table("kUpperSpecial", str.upper),
        ranges_table("kCased", is_cased),
        ranges_table("kIgnorable", is_ignorable),
        """\
}  // namespace

constinit const CaseTable kLowerTable = {kLower, kLowerSpecial};
constinit const CaseTable kUpperTable = {kUpper, kUpperSpecial};
constinit const std::span<const CodeRange> kCasedRanges = kCased;
constinit const std::span<const CodeRange> kIgnorableRanges = kIgnorable;

}  // namespace pystream::expressions::detail
""",
    ]
    return "\n".join(parts)


def main() -> int:
    """Write the table, or compare it."""
    text = generate()
    if "--check" in sys.argv[1:]:
        return int(TARGET.read_text() != text)
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
