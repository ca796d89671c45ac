"""Patterns over one string, by Python's re.

RE2 agrees with it in the patterns that tests use: no lazy or nullable repetition, no look-around.
Its classes are ASCII, and ``$`` is the very end.
"""

from __future__ import annotations

import re


def compiled(pattern: str) -> re.Pattern[str]:
    for ours, python in (("$", r"\Z"), (r"\w", r"(?a:\w)"), (r"\b", r"(?a:\b)")):
        pattern = pattern.replace(ours, python)
    return re.compile(pattern.replace(r"\s", r"[\t\n\f\r ]"))


def regexp_match(text: str, pattern: str) -> bool:
    return compiled(pattern).search(text) is not None


def regexp_extract(text: str, pattern: str, group: int | str) -> str | None:
    found = compiled(pattern).search(text)
    return None if found is None else found.group(group)


def regexp_replace(text: str, pattern: str, replacement: str) -> str:
    """Replace from left to right; after an empty match the next begins a character later."""
    result, copied, begin = "", 0, 0
    while begin <= len(text):
        found = compiled(pattern).search(text, begin)
        if found is None:
            break
        result += text[copied : found.start()] + expanded(found, replacement)
        copied = begin = found.end()
        if found.start() == found.end():
            begin += 1
    return result + text[copied:]


def expanded(found: re.Match[str], replacement: str) -> str:
    result, characters = "", iter(replacement)
    for character in characters:
        if character == "\\":
            escaped = next(characters)
            result += "\\" if escaped == "\\" else found.group(int(escaped)) or ""
        else:
            result += character
    return result


def split_part(text: str, delimiter: str, index: int) -> str | None:
    parts = text.split(delimiter)
    return parts[index] if -len(parts) <= index < len(parts) else None
