"""The headers of a record, in Kafka's encoding."""

from collections.abc import Iterable

__all__ = ["decode_headers", "encode_headers"]

def encode_headers(headers: Iterable[tuple[str, bytes | str | None]]) -> bytes | None:
    """Return the headers of a record, or None when there are none. Raises ConfigError."""

def decode_headers(encoded: bytes) -> list[tuple[str, bytes | None]]:
    """Return the headers of a record, which `encode_headers` encoded."""
