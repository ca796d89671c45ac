"""What expressions offer for searching strings: regular expressions, and parts by a delimiter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pystream.errors import ConfigError
from pystream.plan.expressions import LiteralNode

if TYPE_CHECKING:
    from pystream.pipeline.expressions import Expression
    from pystream.plan.expressions import ExpressionNode

__all__ = ["PatternFunctions"]


class PatternFunctions:
    r"""The methods for patterns, a part of :class:`Expression` with a file of its own.

    They take columns of type string and dictionary<string>. Patterns are regular expressions in the
    syntax of RE2, much like those of :mod:`re` but without look-around and back-references, so that
    the time is linear in the text whatever the pattern. ``\d \w \s \b`` are ASCII; ``(?i)`` in
    front ignores the case. A pattern that is none raises ConfigError where the chain is built.
    """

    __slots__ = ()

    def regexp_match(self, pattern: str) -> Expression:
        r"""Test whether a pattern matches anywhere in the value, as :func:`re.search`.

        Parameters
        ----------
        pattern : str
            ``^`` and ``$`` tie it to the beginning and the end.

        Returns
        -------
        Expression
            bool; null where the value is null.

        Examples
        --------
        >>> ps.col("tail").regexp_match("^N[0-9]+$")
        col("tail").regexp_match("^N[0-9]+$")
        """
        return self._call("regexp_match", _text(pattern, "regexp_match", "pattern"))

    def regexp_extract(self, pattern: str, group: int | str = 0) -> Expression:
        r"""Take what a pattern, or one of its groups, matches first.

        Parameters
        ----------
        pattern : str
        group : int or str, default 0
            Number or name (``(?P<name>...)``) of a group; 0 is the whole match.

        Returns
        -------
        Expression
            string; null where the value is null, the pattern does not match, or the group took no
            part in the match.

        Examples
        --------
        >>> ps.col("flight").regexp_extract("([A-Z]+)([0-9]+)", 2)
        col("flight").regexp_extract("([A-Z]+)([0-9]+)", 2)
        """
        node = _text(pattern, "regexp_extract", "pattern")
        if isinstance(group, str):
            return self._call("regexp_extract", node, LiteralNode(group))
        return self._call("regexp_extract", node, _number(group, "regexp_extract", "group"))

    def regexp_replace(self, pattern: str, replacement: str) -> Expression:
        r"""Replace every match of a pattern.

        Parameters
        ----------
        pattern : str
        replacement : str
            ``\0`` stands for the match, ``\1`` to ``\9`` for its groups, ``\\`` for a backslash.

        Returns
        -------
        Expression
            string; null where the value is null.

        Examples
        --------
        >>> ps.col("card").regexp_replace("[0-9]", "*")
        col("card").regexp_replace("[0-9]", "*")
        """
        return self._call(
            "regexp_replace",
            _text(pattern, "regexp_replace", "pattern"),
            _text(replacement, "regexp_replace", "replacement"),
        )

    def split(self, delimiter: str) -> Expression:
        """Take the parts between delimiters, as ``value.split(delimiter)``.

        Parameters
        ----------
        delimiter : str
            As it is: no pattern.

        Returns
        -------
        Expression
            list<string>, of one part at least; null where the value is null. Take single ones with
            :meth:`list_get`, or without a list :meth:`split_part`.

        Examples
        --------
        >>> ps.col("path").split("/").list_length()
        col("path").split("/").list_length()
        """
        return self._call("split", _delimiter(delimiter, "split"))

    def split_part(self, delimiter: str, index: int) -> Expression:
        """Take one of the parts between delimiters, as ``value.split(delimiter)[index]``.

        Parameters
        ----------
        delimiter : str
            As it is: no pattern.
        index : int
            Counted from zero; a negative one counts from the end.

        Returns
        -------
        Expression
            string; null where the value is null or has no such part.

        Examples
        --------
        >>> ps.col("path").split_part("/", -1)
        col("path").split_part("/", -1)
        """
        node = _delimiter(delimiter, "split_part")
        return self._call("split_part", node, _number(index, "split_part", "index"))

    def _call(self, function: str, *arguments: ExpressionNode) -> Expression:
        raise NotImplementedError


def _text(value: object, function: str, name: str) -> LiteralNode:
    if not isinstance(value, str):
        raise TypeError(f"{function} got the {name} {value!r}. Pass a str.")
    return LiteralNode(value)


def _delimiter(value: object, function: str) -> LiteralNode:
    node = _text(value, function, "delimiter")
    if not value:
        raise ConfigError(f"{function} got an empty delimiter. Use substring() for characters.")
    return node


def _number(value: object, function: str, name: str) -> LiteralNode:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{function} got the {name} {value!r}. Pass an int.")
    if not -(2**63) <= value < 2**63:
        raise ConfigError(f"{function} got the {name} {value}. Pass one of 64 bits.")
    return LiteralNode(int(value))
