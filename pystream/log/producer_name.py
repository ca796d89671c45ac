"""The name of a producer: who writes under it now, and from where the next one goes on."""

from __future__ import annotations

from collections.abc import Sequence

from pystream import config
from pystream.errors import ConfigError, FencedError
from pystream.log.catalog.catalog import Catalog, ProducerPosition

__all__ = ["ProducerName", "check_producer_name"]


class ProducerName:
    """A name that was taken: every producer that took it before is fenced from now on.

    Parameters
    ----------
    catalog : Catalog
        Keeps the name's id and epoch.
    name : str

    Raises
    ------
    ConfigError
        If it is no name.
    """

    def __init__(self, catalog: Catalog, name: str) -> None:
        self._catalog = catalog
        self.name = check_producer_name(name, setting="producer_name")
        self.id, self.epoch = catalog.open_producer(name)
        self._newest_epoch = self.epoch

    def check_current(self, *, is_changed: bool) -> None:
        """Raise FencedError when a newer producer has taken the name.

        Parameters
        ----------
        is_changed : bool
            Whether the catalog changed since the last call; else it is not asked.
        """
        if is_changed:
            self._newest_epoch = self._catalog.producer_epoch(self.id)
        self._raise_if_fenced()

    def positions(self, topic_id: bytes, partitions: int) -> list[ProducerPosition | None]:
        """Return where to read on in each partition; None where the name never wrote."""
        saved = self._catalog.producer_positions(self.id, topic_id)
        return [saved.get(number) for number in range(partitions)]

    def save(
        self, topic_id: bytes, positions: Sequence[ProducerPosition], complete_sequence: int
    ) -> None:
        """Store where the next producer of this name reads on.

        Raises
        ------
        FencedError
            If there is one already; nothing was stored.
        """
        self._newest_epoch = self._catalog.save_producer_positions(
            self.id,
            self.epoch,
            topic_id,
            [(*position[:3], complete_sequence) for position in positions],
        )
        self._raise_if_fenced()

    def _raise_if_fenced(self) -> None:
        if self._newest_epoch != self.epoch:
            raise FencedError(
                f"producer {self.name!r} of epoch {self.epoch} is fenced: one of epoch "
                f"{self._newest_epoch} has taken the name. What was not appended yet is not; close "
                "this producer, the newer one goes on.",
                producer_name=self.name,
                epoch=self.epoch,
                current_epoch=self._newest_epoch,
            )


def check_producer_name(name: str, *, setting: str) -> str:
    """Return a name that a setting gives a producer.

    Raises
    ------
    ConfigError
        If it is no name.
    """
    if not config.is_name(name) or len(name) > config.PRODUCER_NAME_MAX:
        raise ConfigError(
            f"{setting} is {name!r}. Pass a string of 1 to {config.PRODUCER_NAME_MAX} characters, "
            "of which none is half a surrogate pair."
        )
    return name
