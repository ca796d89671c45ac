"""What expressions offer for numbers, and the hash of any value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pystream.errors import ConfigError
from pystream.plan.expressions import LiteralNode

if TYPE_CHECKING:
    from pystream.pipeline.expressions import Expression
    from pystream.plan.expressions import ExpressionNode

__all__ = ["NumberFunctions"]


class NumberFunctions:
    """The methods for numbers, a part of :class:`Expression` with a file of its own.

    Functions of floats give float32 for float32 and float64 for other floats and integers. Where
    there is no result it is what IEEE 754 says: NaN or an infinity, never an error.
    """

    __slots__ = ()

    def round(self, digits: int = 0) -> Expression:
        """Round to a number of decimal digits, ties to even, as :func:`round` of Python.

        Parameters
        ----------
        digits : int, default 0
            From 0 to 15.

        Returns
        -------
        Expression
            Of the same type. It goes by the exact value of the float: 2.675 is below a tie.

        Raises
        ------
        ConfigError
            If `digits` is not in the range.

        Examples
        --------
        >>> ps.col("price").round(2)
        col("price").round(2)
        """
        if isinstance(digits, bool) or not isinstance(digits, int):
            raise TypeError(f"round got {digits!r} digits. Pass an int.")
        if not 0 <= digits <= 15:
            raise ConfigError(f"round got {digits} digits. Pass a number from 0 to 15.")
        return self._call("round", LiteralNode(int(digits)))

    def floor(self) -> Expression:
        """Take the greatest whole number that is not greater.

        Returns
        -------
        Expression
            Of the same type; cast it to an integer where one is needed.

        Examples
        --------
        >>> ps.col("x").floor()
        col("x").floor()
        """
        return self._call("floor")

    def ceil(self) -> Expression:
        """Take the least whole number that is not less.

        Returns
        -------
        Expression
            Of the same type.

        Examples
        --------
        >>> ps.col("x").ceil()
        col("x").ceil()
        """
        return self._call("ceil")

    def sqrt(self) -> Expression:
        """Take the square root.

        Returns
        -------
        Expression
            Float; NaN for negative numbers.

        Examples
        --------
        >>> ps.col("variance").sqrt()
        col("variance").sqrt()
        """
        return self._call("sqrt")

    def ln(self) -> Expression:
        """Take the natural logarithm.

        Returns
        -------
        Expression
            Float; -inf for zero, NaN for negative numbers.

        Examples
        --------
        >>> ps.col("x").ln()
        col("x").ln()
        """
        return self._call("ln")

    def log10(self) -> Expression:
        """Take the logarithm to base 10.

        Returns
        -------
        Expression
            Float; -inf for zero, NaN for negative numbers.

        Examples
        --------
        >>> ps.col("x").log10()
        col("x").log10()
        """
        return self._call("log10")

    def exp(self) -> Expression:
        """Raise e to the value.

        Returns
        -------
        Expression
            Float; inf where it is too large.

        Examples
        --------
        >>> ps.col("x").exp()
        col("x").exp()
        """
        return self._call("exp")

    def sign(self) -> Expression:
        """Take -1, 0 or 1.

        Returns
        -------
        Expression
            int64 for integers; floats keep their type, NaN and the sign of zero.

        Examples
        --------
        >>> ps.col("delay").sign()
        col("delay").sign()
        """
        return self._call("sign")

    def hash(self) -> Expression:
        """Compute a hash that is the same on every machine and in every version.

        Returns
        -------
        Expression
            uint64: XXH64 with seed 0 over bytes that docs/expressions.md lists; null where the
            value is null. Equal values of one kind have equal hashes, whatever their width, unit,
            scale or encoding. Not for secrets.

        Examples
        --------
        >>> ps.col("user").hash() % 100 < 5
        (col("user").hash() % 100) < 5
        """
        return self._call("hash")

    def _call(self, function: str, *arguments: ExpressionNode) -> Expression:
        raise NotImplementedError
