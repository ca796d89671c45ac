"""Python values to cells: what a column of each type takes, exactly or not at all."""

__all__ = ["timestamp_us"]

class Refused(Exception):
    """A value does not fit its column; says why."""

def timestamp_us(topic: str, value: object) -> int:
    """Return a record timestamp in microseconds. Raises SchemaError."""
