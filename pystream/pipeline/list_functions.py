"""What expressions offer for columns of lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pystream.errors import ConfigError
from pystream.plan.expressions import LiteralNode

if TYPE_CHECKING:
    from pystream.pipeline.expressions import Expression
    from pystream.plan.expressions import ExpressionNode

__all__ = ["ListFunctions"]

_PLACES = 2**63


class ListFunctions:
    """The methods for lists, a part of :class:`Expression` with a file of its own.

    They take columns of type ``list<...>``, and raise SchemaError for others where the chain is
    built. All other functions but ``is_null`` and ``is_not_null`` refuse lists.
    """

    __slots__ = ()

    def list_length(self) -> Expression:
        """Count the elements of a list, nulls among them included.

        Returns
        -------
        Expression
            int64; 0 of an empty list, null where the list is null.

        Examples
        --------
        >>> ps.col("tags").list_length() > 0
        col("tags").list_length() > 0
        """
        return self._call("list_length")

    def list_get(self, index: int) -> Expression:
        """Take one element of a list.

        Parameters
        ----------
        index : int
            Counted from zero; a negative one counts from the end.

        Returns
        -------
        Expression
            Of the elements' type; null where the list has no such place, the element is null, or
            the list is.

        Raises
        ------
        ConfigError
            If `index` is no integer.

        Examples
        --------
        >>> ps.col("path").list_get(-1)
        col("path").list_get(-1)
        """
        if isinstance(index, bool) or not isinstance(index, int) or abs(index) >= _PLACES:
            raise ConfigError(f"list_get got the place {index!r}. Pass an integer of 64 bits.")
        return self._call("list_get", LiteralNode(index))

    def _call(self, function: str, *arguments: ExpressionNode) -> Expression:
        raise NotImplementedError
