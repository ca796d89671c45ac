"""What expressions offer for strings; positions and lengths count characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pystream.errors import ConfigError
from pystream.plan.expressions import LiteralNode

if TYPE_CHECKING:
    from pystream.pipeline.expressions import Expression
    from pystream.plan.expressions import ExpressionNode

__all__ = ["TextFunctions"]


class TextFunctions:
    """The methods for strings, a part of :class:`Expression` with a file of its own.

    They take columns of type string and dictionary<string>, and raise SchemaError for others where
    the chain is built. A character is a Unicode code point.
    """

    __slots__ = ()

    def length(self) -> Expression:
        """Count the characters.

        Returns
        -------
        Expression
            int64; null where the value is null. ``"é"`` has one character, not two bytes.

        Examples
        --------
        >>> ps.col("origin").length() == 3
        col("origin").length() == 3
        """
        return self._method("length")

    def substring(self, start: int, length: int | None = None) -> Expression:
        """Take a part, as the slice ``[start : start + length]`` of Python does.

        Parameters
        ----------
        start : int
            Of the first character, counted from zero; a negative one counts from the end. One
            before the first character means the first.
        length : int, default all that follow
            Characters, as far as there are so many.

        Returns
        -------
        Expression
            string; empty where nothing is left, null where the value is null.

        Raises
        ------
        ConfigError
            If `length` is negative.

        Examples
        --------
        >>> ps.col("flight").substring(0, 2)
        col("flight").substring(0, 2)
        >>> ps.col("flight").substring(-4)
        col("flight").substring(-4)
        """
        bounds = (start,) if length is None else (start, length)
        for name, value in zip(("start", "length"), bounds, strict=False):
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"substring got the {name} {value!r}. Pass an int.")
            if not -(2**63) <= value < 2**63:
                raise ConfigError(f"substring got the {name} {value}. Pass one of 64 bits.")
        if length is not None and length < 0:
            raise ConfigError(
                f"substring got the length {length}. Pass zero or more; a negative start counts "
                "from the end."
            )
        return self._call("substring", *(LiteralNode(int(value)) for value in bounds))

    def contains(self, text: str | Expression) -> Expression:
        """Test whether `text` occurs in the value, as it is: no pattern.

        Parameters
        ----------
        text : str or Expression
            The empty string occurs in every value.

        Returns
        -------
        Expression
            bool; null where either is null.

        Examples
        --------
        >>> ps.col("url").contains("/checkout")
        col("url").contains("/checkout")
        """
        return self._method("contains", text)

    def starts_with(self, text: str | Expression) -> Expression:
        """Test whether the value begins with `text`.

        Parameters
        ----------
        text : str or Expression

        Returns
        -------
        Expression
            bool; null where either is null.

        Examples
        --------
        >>> ps.col("tail").starts_with("N1")
        col("tail").starts_with("N1")
        """
        return self._method("starts_with", text)

    def ends_with(self, text: str | Expression) -> Expression:
        """Test whether the value ends with `text`.

        Parameters
        ----------
        text : str or Expression

        Returns
        -------
        Expression
            bool; null where either is null.

        Examples
        --------
        >>> ps.col("tail").ends_with("UA")
        col("tail").ends_with("UA")
        """
        return self._method("ends_with", text)

    def lower(self) -> Expression:
        """Change to lower case, as :meth:`str.lower` does.

        Returns
        -------
        Expression
            string; null where the value is null. Unicode's full mapping, in no language's own
            rules; a Greek sigma at the end of a word is a final one.

        Examples
        --------
        >>> ps.col("email").lower()
        col("email").lower()
        """
        return self._method("lower")

    def upper(self) -> Expression:
        """Change to upper case, as :meth:`str.upper` does.

        Returns
        -------
        Expression
            string; null where the value is null. A letter may become several: ``"ß"`` gives
            ``"SS"``.

        Examples
        --------
        >>> ps.col("origin").upper()
        col("origin").upper()
        """
        return self._method("upper")

    def strip(self) -> Expression:
        """Remove white space on both sides: what :meth:`str.strip` removes.

        Returns
        -------
        Expression
            string; null where the value is null.

        Examples
        --------
        >>> ps.col("name").strip()
        col("name").strip()
        """
        return self._method("strip")

    def lstrip(self) -> Expression:
        """Remove white space on the left.

        Returns
        -------
        Expression
            string; null where the value is null.

        Examples
        --------
        >>> ps.col("name").lstrip()
        col("name").lstrip()
        """
        return self._method("lstrip")

    def rstrip(self) -> Expression:
        """Remove white space on the right.

        Returns
        -------
        Expression
            string; null where the value is null.

        Examples
        --------
        >>> ps.col("name").rstrip()
        col("name").rstrip()
        """
        return self._method("rstrip")

    def _method(self, function: str, *arguments: str | Expression) -> Expression:
        raise NotImplementedError

    def _call(self, function: str, *arguments: ExpressionNode) -> Expression:
        raise NotImplementedError
