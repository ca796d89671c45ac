"""The compiled core: handles with coarse methods, called once per batch.

Everything here releases the interpreter lock where it does I/O, waits, or touches more than a few
KiB, and raises the classes of ``pystream.errors`` with their facts as attributes. Handles keep
alive what they refer to; arrays and batches outlive the log, partition and reader they came from.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, final, type_check_only

import numpy as np
import numpy.typing as npt

# --- columns -------------------------------------------------------------------------------------

@final
class DataType:
    """A column type, spelled as Arrow does: ``int64``, ``timestamp[ms, UTC]``, ``string``.

    Equal types are equal and hash alike. Raises ConfigError on an unknown spelling, naming what is
    accepted.
    """

    def __init__(self, text: str) -> None: ...
    @property
    def kind(self) -> str:
        """``bool int8 ... float64 decimal128 timestamp date32 duration string binary list``."""

    @property
    def unit(self) -> str | None:
        """``s ms us ns`` of a timestamp or duration."""

    @property
    def timezone(self) -> str | None: ...
    @property
    def precision(self) -> int | None: ...
    @property
    def scale(self) -> int | None: ...
    @property
    def element(self) -> DataType | None:
        """The type of what is in a list; None for other types."""

    @property
    def is_dictionary(self) -> bool: ...
    def numpy_dtype(self) -> np.dtype[Any]:
        """Return what ``Array.to_numpy`` gives for a column without nulls (object for strings)."""

    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...
    def __str__(self) -> str: ...
    def __repr__(self) -> str: ...

@final
class Schema:
    """Named, typed fields in order. Immutable."""

    def __init__(self, fields: Iterable[tuple[str, DataType, bool]]) -> None:
        """From (name, type, nullable). Raises ConfigError: no name, a name twice, too many."""

    @staticmethod
    def deserialize(data: bytes) -> Schema:
        """Raises SchemaError when the bytes are not a schema."""

    @staticmethod
    def from_arrow(obj: object) -> Schema:
        """From an object with ``__arrow_c_schema__``.

        Raises NotSupportedError naming the column.
        """

    def serialize(self) -> bytes:
        """Equal schemas give equal bytes; see docs/formats/schema.md."""

    @property
    def fields(self) -> list[tuple[str, DataType, bool]]: ...
    @property
    def names(self) -> list[str]: ...
    def index_of(self, name: str) -> int:
        """Position of the column, or -1."""

    def __arrow_c_schema__(self) -> object: ...
    def __len__(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...
    def __str__(self) -> str: ...
    def __repr__(self) -> str: ...

@final
class Array:
    """One column of a batch, in Arrow layout. Immutable.

    numpy views of it keep its memory (also a mapped segment) alive and are read-only.
    """

    @property
    def type(self) -> DataType: ...
    @property
    def null_count(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def is_encoded(self) -> bool:
        """Physically dictionary-encoded, whatever the type says."""

    def to_numpy(self, zero_copy_only: bool = False, null_value: object = None) -> npt.NDArray[Any]:
        """Return the values.

        A view (read-only) for fixed-width numbers, timestamps and durations that have no nulls and
        are not dictionary-encoded; else a copy: bool to ``bool``, date32 to ``datetime64[D]``,
        strings, binary and decimals to objects. Nulls become NaN (integers turn into float64),
        NaT, None; or `null_value`, and the dtype stays. Raises SchemaError with zero_copy_only
        when a copy is needed, and when a 64-bit integer with nulls beside it has no exact float64.
        """

    def to_pylist(self) -> list[Any]:
        """One Python object per row; timestamps and durations as numpy would show them."""

    def null_mask(self) -> npt.NDArray[np.bool_]:
        """True where null; a copy."""

    def codes(self) -> npt.NDArray[np.int32]:
        """Return the codes, a view; of a plain string column after encoding it. -1 never occurs."""

    def dictionary(self) -> Array:
        """Return the entries that the codes point to, plain and without nulls."""

    def encode(self) -> Array:
        """Return the same string or binary column dictionary-encoded."""

    def decode(self) -> Array:
        """Return the same column plain."""

    def slice(self, begin: int, length: int) -> Array: ...
    def take(self, indices: npt.NDArray[np.integer[Any]]) -> Array: ...
    def equals(self, other: Array) -> bool:
        """Return whether type, nulls and values agree, whatever the encoding."""

    def __getitem__(self, row: int) -> Any: ...
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]: ...
    def __len__(self) -> int: ...
    def __repr__(self) -> str: ...

@final
class RecordBatch:
    """Equal-length columns with a schema. Immutable; cheap to pass around."""

    def __init__(self, schema: Schema, columns: Sequence[Array]) -> None:
        """Raises SchemaError when types or lengths disagree with the schema."""

    @staticmethod
    def from_arrow(obj: object, schema: Schema | None = None) -> list[RecordBatch]:
        """Import an object with ``__arrow_c_array__`` or ``__arrow_c_stream__``.

        Zero-copy where layouts agree. With `schema`, each batch is cast to it as by `cast_to`, and
        Arrow's null type is accepted for nullable columns. Raises NotSupportedError naming the
        column of a type that a topic cannot hold.
        """

    @staticmethod
    def from_numpy(
        schema: Schema,
        columns: Mapping[str, npt.NDArray[Any]],
        masks: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    ) -> RecordBatch:
        """From one array per column; a mask is True where null.

        Zero-copy for contiguous arrays of the column's own dtype (the caller must not change them
        before the batch is gone or appended); strings (str, object, StringDType), bool and
        everything else is copied, by the casts of `cast_to`. In object arrays None is null, and
        NaT is null in datetime arrays. Raises SchemaError naming column, expected, got, first bad
        row.
        """

    def cast_to(self, schema: Schema, topic: str = "") -> RecordBatch:
        """Adapt to `schema`: the same columns in any order, values cast only where it is exact.

        Integers to any integer or float that holds the value; float32 to float64; timestamps and
        durations to other units without remainder; int64 to timestamp and duration; string to
        dictionary<string> and binary. `topic` is for the message. Raises SchemaError with
        attributes column, expected, got and, where a value is at fault, row.
        """

    @staticmethod
    def concat(batches: Sequence[RecordBatch]) -> RecordBatch:
        """All rows in order; at least one batch, all of one schema."""

    @property
    def num_rows(self) -> int: ...
    @property
    def num_columns(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def schema(self) -> Schema: ...
    def column(self, index: int) -> Array: ...
    def column_numpy(self, index: int) -> npt.NDArray[Any]:
        """As ``column(index).to_numpy(zero_copy_only=True)``."""

    def select(self, indices: Sequence[int]) -> RecordBatch: ...
    def slice(self, begin: int, length: int) -> RecordBatch: ...
    def take(self, indices: npt.NDArray[np.integer[Any]]) -> RecordBatch: ...
    def equals(self, other: RecordBatch) -> bool:
        """Return whether schema and rows agree, whatever the encoding."""

    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]: ...
    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...
    def __len__(self) -> int: ...
    def __repr__(self) -> str: ...
    def _capsule(self) -> object:
        """A PyCapsule "pystream.RecordBatch" that owns a heap ``pystream::RecordBatch*``."""

    @staticmethod
    def _from_capsule(capsule: object) -> RecordBatch:
        """Copies the batch (shared buffers) out of a capsule of that name."""

def export_stream(schema: Schema, batches: Sequence[RecordBatch]) -> object:
    """Return an "arrow_array_stream" capsule over batches of that schema."""

# --- expressions ---------------------------------------------------------------------------------

@final
class Expression:
    """An untyped tree over columns, as the user wrote it. Immutable; ``str()`` reads like it."""

    @staticmethod
    def column(name: str, label: str = "") -> Expression:
        """The column of that name, which messages call by its label, if it has one."""

    @staticmethod
    def literal(
        value: bool | int | float | str | bytes | None, type: DataType | None = None
    ) -> Expression:
        """A value whose type adapts to the other operand, or one of a declared type.

        Declared: ticks of a timestamp, date32 or duration; the bits of a uint64 as int64; bytes of
        a binary; digits of a decimal128.
        """

    @staticmethod
    def zone(name: str, table: bytes) -> Expression:
        """A time zone with its offsets, for ``at_zone``, ``from_zone`` and ``truncate``.

        The table is int64 in little-endian order, as native/expressions/detail/zone.hpp says.
        """

    @staticmethod
    def external(
        name: str,
        call: Callable[[list[Array], int], Array],
        arguments: Sequence[Expression],
        type: DataType,
    ) -> Expression:
        """Call a function with the arguments' columns and the number of rows.

        It returns one value of `type` for each row, and is called with the interpreter lock by
        whatever thread evaluates. What it raises becomes an OperatorError, or a SchemaError if it
        was one, with its words.
        """

    @staticmethod
    def call(function: str, arguments: Sequence[Expression]) -> Expression:
        """Call ``add subtract multiply divide floor_divide modulo negate abs power``,
        ``round floor ceil sqrt ln log10 exp sign greatest least hash equal not_equal``,
        ``less less_equal greater greater_equal and or not is_null is_not_null fill_null is_nan``,
        ``is_in`` (its members follow as literals), ``truncate extract length substring lower``,
        ``upper strip lstrip rstrip regexp_match regexp_extract regexp_replace split``,
        ``split_part``,
        ``contains starts_with ends_with null_if at_zone from_zone format parse try_parse``,
        ``list_length list_get``,
        ``case`` (condition, value, condition, value, ..., and perhaps the value of all other rows)
        or ``coalesce``.
        """

    @staticmethod
    def cast(child: Expression, type: DataType, *, or_null: bool = False) -> Expression:
        """Convert; values that the type does not hold are errors, or null with `or_null`."""

    def bind(self, schema: Schema) -> BoundExpression:
        """Check the types. Raises SchemaError; NotSupportedError; ConfigError for a bad pattern."""

    def __str__(self) -> str: ...
    def __repr__(self) -> str: ...

@final
class BoundExpression:
    """An expression for batches of one schema. Any thread."""

    @property
    def type(self) -> DataType: ...
    @property
    def nullable(self) -> bool: ...
    def evaluate(self, batch: RecordBatch) -> Array:
        """Return one value per row of a batch of the schema bound to.

        Raises OperatorError for what only data can show, naming expression and row, and SchemaError
        when the batch is of another schema.
        """

def select_true(condition: Array) -> npt.NDArray[np.int32]:
    """Return the rows where a bool column is true, ascending; null is not true."""

# --- storage -------------------------------------------------------------------------------------

Acks = Literal["published", "interval", "durable"]
Codec = Literal["none", "lz4"]
OnCorruption = Literal["raise", "skip"]
IsolationLevel = Literal["read_committed", "read_uncommitted"]

def crc32c(data: bytes) -> int:
    """Return the CRC32C (Castagnoli) of some bytes."""

@final
class AppendResult:
    @property
    def base_offset(self) -> int: ...
    @property
    def append_time_us(self) -> int: ...
    @property
    def append_sequence(self) -> int: ...

@final
class OpenTransaction:
    """A transaction that has batches in a partition, and no marker."""

    @property
    def transaction_id(self) -> int: ...
    @property
    def producer_id(self) -> int: ...
    @property
    def producer_epoch(self) -> int: ...
    @property
    def first_offset(self) -> int: ...
    @property
    def is_doubtful(self) -> bool:
        """Its marker may have stood among records that cannot be read."""

@final
class PartitionEnds:
    @property
    def log_start_offset(self) -> int: ...
    @property
    def log_end_offset(self) -> int: ...
    @property
    def durable_offset(self) -> int: ...

@final
class SegmentFacts:
    """A segment, as far as retention asks."""

    @property
    def base_offset(self) -> int: ...
    @property
    def end_offset(self) -> int:
        """Base offset of the next segment; of the active one the log end offset."""

    @property
    def bytes(self) -> int: ...
    @property
    def last_append_us(self) -> int:
        """The largest append time in it."""

    @property
    def is_active(self) -> bool: ...

@final
class RemovalResult:
    """What was removed of a partition."""

    @property
    def log_start_offset(self) -> int: ...
    @property
    def segments(self) -> int: ...
    @property
    def bytes(self) -> int:
        """Of their files."""

@final
class CompactionResult:
    """What a compaction did."""

    @property
    def segments(self) -> int:
        """Files that were replaced."""

    @property
    def removed_records(self) -> int: ...
    @property
    def bytes_before(self) -> int:
        """Of the files that were replaced."""

    @property
    def bytes_after(self) -> int: ...

@final
class BackupResult:
    """What the backup of a partition holds."""

    @property
    def log_end_offset(self) -> int: ...
    @property
    def linked_bytes(self) -> int: ...
    @property
    def copied_bytes(self) -> int: ...
    @property
    def is_outdated(self) -> bool:
        """Whether a compaction came in between, so that it must be made again."""

@final
class RecoveryReport:
    """What opening a partition had to do."""

    @property
    def kind(self) -> Literal["none", "created", "recovered"]: ...
    @property
    def log_end_offset(self) -> int: ...
    @property
    def torn_bytes(self) -> int:
        """Of an incomplete tail above the durable offset, now ignored."""

    @property
    def corrupt_records(self) -> int:
        """Offsets below the durable offset that cannot be read."""

@final
class ManualClock:
    """Stands in for the wall clock, in tests; microseconds since 1970."""

    def __init__(self, now_us: int) -> None: ...
    @property
    def now_us(self) -> int: ...
    @now_us.setter
    def now_us(self, now_us: int) -> None: ...

@final
class Log:
    """The log's own files in a directory. Any thread. Waits honour signals.

    After a fork, the child must open its own.
    """

    @staticmethod
    def open(
        directory: str,
        *,
        read_only: bool = False,
        sync_interval_us: int = 50_000,
        lock_timeout_us: int = 30_000_000,
        prewrite_bytes: int = 0,
        clock: ManualClock | None = None,
    ) -> Log:
        """Raises LogError when the directory is not a log or a newer one; StorageError.

        `clock`: where append times come from.
        """

    def open_partition(
        self,
        *,
        topic: str,
        topic_id: bytes,
        partition: int,
        schema: Schema,
        schema_id: int,
        segment_bytes: int = ...,
    ) -> Partition:
        """Open or create a partition; `topic_id` has 16 bytes."""

    def frontier(self, partitions: Sequence[Partition]) -> tuple[int, list[int]]:
        """Return (append-sequence frontier, log end offset per partition)."""

    def cut(self, partitions: Sequence[Partition]) -> int:
        """Return an append sequence below which everything is published on these partitions.

        What was published before the call is below it. Waits for appends that are in flight;
        RequestTimeoutError when one takes longer than the lock timeout.
        """

    def wait_any(
        self,
        partitions: Sequence[Partition],
        offsets: Sequence[int],
        timeout_us: int,
        watch: TailWatch | None = None,
        interrupts: int = 0,
    ) -> bool:
        """Block until a partition has a log end offset above its offset; False on timeout.

        Also True when `watch` was interrupted another number of times than `interrupts`. A negative
        timeout has no limit. Signal handlers run at least every 100 ms.
        """

    def tail_watch(self) -> TailWatch:
        """Return a watch for waiting in an event loop."""

    def close(self) -> None: ...
    def stop_compactions(self) -> None:
        """End compactions behind the segment that they are at; none begins any more."""
    @property
    def is_closed(self) -> bool: ...
    @property
    def directory(self) -> str: ...

@final
class Partition:
    """One partition of a topic. Any thread."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def schema(self) -> Schema: ...
    @property
    def schema_id(self) -> int: ...
    def append(
        self,
        batch: RecordBatch,
        *,
        timestamps: Array | int,
        headers: Array | None = None,
        acks: Acks = "interval",
        codec: Codec = "none",
        dictionary: bool = True,
        key_columns: Sequence[int] = (),
    ) -> AppendResult:
        """Encode and append one batch of the partition's schema.

        `timestamps` are the record timestamps in microseconds, one per row or one for all. Nothing
        was appended when it raises: SchemaError (null in a non-nullable column),
        RecordTooLargeError, StorageError (a full disk has errno ENOSPC), NotSupportedError. With
        "durable", errors of the sync come after the batch was published: as `sync_partitions`.
        """

    def ends(self) -> PartitionEnds: ...
    def wait(self, offset: int, timeout_us: int) -> bool:
        """Block until there is a record at or behind `offset`; False on timeout."""

    def reader(
        self,
        offset: int,
        *,
        on_corruption: OnCorruption = "raise",
        isolation_level: Literal["everything"] | IsolationLevel = "everything",
    ) -> PartitionReader:
        """Raises OffsetOutOfRangeError with both ends.

        With "everything" control batches are handed out too.

        With "skip" every batch is verified in full before it is handed out, once per process, and
        what is damaged is stepped over: see `PartitionReader.take_skipped`.
        """

    def last_stable_offset(self) -> int:
        """Return the offset below which all transactions are decided by a marker."""

    def open_transactions(self) -> list[OpenTransaction]:
        """Return the transactions that have batches and no marker, by their first offset."""

    def end_transaction(
        self, transaction_id: int, *, producer_id: int, producer_epoch: int, is_commit: bool
    ) -> int | None:
        """Append the marker of a transaction where it is open; return its offset, or None.

        It is synced within the log's interval. `producer_epoch` is above that of the transaction's
        batches, and fences their writer.
        """

    def find_time(self, value: int, *, column: int = -1) -> tuple[int, int] | None:
        """Return offset and time of the first record with a time of at least `value`.

        The record timestamp in microseconds, or a column of type timestamp, date32 or int64, by its
        index. None when there is no such record. Damaged records are stepped over.
        """

    def segment_facts(self) -> list[SegmentFacts]:
        """Return the segments from the log start on, the active one last."""

    def delete_records(self, offset: int) -> RemovalResult:
        """Raise the log start offset, durably, and remove segments that lie below it as a whole.

        Raises OffsetOutOfRangeError above the log end offset, StorageError. Views stay valid.
        """

    def compact(
        self,
        key_columns: list[int],
        *,
        now_us: int,
        delete_retention_us: int,
        min_compaction_lag_us: int = 0,
        min_cleanable_ratio: float = 0.0,
    ) -> CompactionResult:
        """Keep the last record of each key in sealed segments that are durable and decided.

        One caller at a time, of all processes. Raises CorruptRecordError when some of their records
        cannot be read, StorageError. Views, readers and appends are not disturbed.
        """

    def end_segment(self) -> bool:
        """Let the next append begin a new segment; False when nothing changes."""

    def set_segment_bytes(self, bytes: int) -> None:
        """Set the size of segments that are made from now on."""

    def pinned_bytes(self) -> int:
        """Return the bytes of removed files that this process still has mapped."""

    def sync(self) -> None:
        """Sync what was published so far. Raises as `sync_partitions` says."""

    def backup(self, directory: str, cut: int) -> BackupResult:
        """Copy what has an append sequence below `cut` into an empty directory, synced.

        Sealed segments become hard links where the file system allows.
        """

    @property
    def recovery(self) -> RecoveryReport: ...
    def set_schema(self, schema_id: int, schema: Schema) -> None: ...

def sync_partitions(partitions: Sequence[Partition], ends: Sequence[int]) -> list[Exception | None]:
    """Wait until each partition is durable up to its end offset; return the error of each.

    Threads and processes that wait for the same partition share a sync. StorageError: a sync
    failed, and the log must be opened again. RequestTimeoutError: another process has been syncing
    for longer than the log's lock_timeout; attribute pid. UnknownTopicError: the topic was deleted.
    Ctrl-C is answered during a wait, not during a sync of its own.
    """

@final
class TailWatch:
    """Tells an event loop that partitions have grown: its descriptor becomes readable.

    One native thread per log serves all of its watches. Any thread may use it.
    """

    def fileno(self) -> int:
        """Return the descriptor, for waiting until it is readable and nothing else."""

    def arm(self, partitions: Sequence[Partition], offsets: Sequence[int], interrupts: int) -> None:
        """Make the descriptor readable, once, when a log end offset is above its offset.

        Also when the watch was interrupted another number of times than `interrupts`. Raises
        ClosedError; when the log is closed later, the descriptor becomes readable.
        """

    def disarm(self) -> None:
        """Take `arm` back; the descriptor is not readable afterwards."""

    def interrupt(self) -> None:
        """Make the descriptor of an armed watch readable, and end a `wait_any` with the watch."""

    @property
    def interrupts(self) -> int:
        """How often the watch was interrupted, modulo 2^32."""

class SkippedRange:
    """Records that a reader stepped over: offsets [offset, next_offset), and where they were."""

    @property
    def offset(self) -> int: ...
    @property
    def next_offset(self) -> int: ...
    @property
    def position(self) -> int: ...
    @property
    def path(self) -> str: ...

@final
class Undecided:
    """Where a reader has stopped, before a batch of a transaction that has no marker yet."""

    @property
    def transaction_id(self) -> int: ...
    @property
    def offset(self) -> int:
        """Of the batch."""

    @property
    def end_offset(self) -> int:
        """The marker is not below it."""

@final
class PartitionReader:
    """Reads batches in offset order without locks. One thread at a time."""

    @property
    def undecided(self) -> Undecided | None:
        """Why the last `next` gave nothing, when a transaction is the reason."""

    def next(self) -> LogBatch | None:
        """Return the batch that holds `position`, and move past it; None at the end.

        The batch may begin before `position` after a seek: slice it.
        """

    def seek(self, offset: int) -> None: ...
    def take_skipped(self) -> list[SkippedRange]:
        """Return what was stepped over since the last call."""

    @property
    def position(self) -> int: ...
    @property
    def partition(self) -> Partition: ...

# Batches and their schemas; and of each batch four int64, together: the index of its reader,
# base_offset, next_offset, record_count.
FetchedBatches = tuple[list[LogBatch], list[Schema], bytes]

@final
class Fetcher:
    """Reads several partitions as one, in the order of their append sequences. One thread.

    Moves the readers, ahead of what was handed out: nobody else may move them meanwhile.
    """

    def __init__(self, readers: Sequence[PartitionReader]) -> None: ...
    def fetch(self, max_batches: int) -> FetchedBatches:
        """Return the next batches that are there.

        What a reader raises ends a fetch that has batches; the next one raises it.
        """

@final
class Finding:
    """Something that verifying found: wrong, or as a note worth knowing."""

    @property
    def kind(self) -> str:
        """A stable word, such as "corrupt-records"."""

    @property
    def what(self) -> str: ...
    @property
    def advice(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def position(self) -> int:
        """In the file; -1 when there is none."""

    @property
    def offset(self) -> int:
        """Of the first record concerned; -1 when there is none."""

    @property
    def next_offset(self) -> int: ...
    @property
    def is_note(self) -> bool: ...

@final
class PartitionSummary:
    @property
    def log_start_offset(self) -> int: ...
    @property
    def log_end_offset(self) -> int: ...
    @property
    def durable_offset(self) -> int: ...
    @property
    def segments(self) -> int: ...
    @property
    def batches(self) -> int: ...
    @property
    def records(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def lost_records(self) -> int: ...
    @property
    def last_append_sequence(self) -> int: ...

@final
class PartitionVerifier:
    """Checks one partition on disk against itself; opens nothing for writing. One thread."""

    def __init__(self, directory: str, *, topic: str, topic_id: bytes, partition: int) -> None:
        """Raises LogError for a newer format, StorageError when the system refuses."""

    def step(self, bytes: int) -> bool:
        """Verify about so many more bytes; False when all is done."""

    @property
    def bytes_done(self) -> int: ...
    @property
    def bytes_total(self) -> int: ...
    @property
    def summary(self) -> PartitionSummary: ...
    @property
    def findings(self) -> list[Finding]: ...
    @property
    def decided_transactions(self) -> list[tuple[int, bool]]:
        """Transactions that have a marker, and whether it says that they were committed."""

    @property
    def open_transactions(self) -> list[tuple[int, int]]:
        """Transactions that have batches and no marker, with their first offset."""

@final
class OrderReport:
    @property
    def findings(self) -> list[Finding]: ...
    @property
    def is_current(self) -> bool:
        """Whether the file is of this boot, so that `next_sequence` must be right."""

    @property
    def next_sequence(self) -> int: ...

def foreign_name(directory: str) -> bytes:
    """Return a name with which a directory without an order file is refused; empty: none."""

def verify_order(directory: str) -> OrderReport:
    """Look at the log's own file. Raises LogError when the directory is not a log."""

@final
class SegmentDamage:
    """Bytes of a segment file in which no batch can be read."""

    @property
    def position(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def offset(self) -> int:
        """The first offset that is lost."""

    @property
    def next_offset(self) -> int:
        """Where reading goes on; -1 when the damage reaches to the end of the file."""

@final
class SegmentFile:
    """A segment file by itself, published or not. One thread at a time."""

    def __init__(self, path: str) -> None:
        """Raises CorruptRecordError when the head cannot be read; StorageError."""

    def next(self) -> LogBatch | SegmentDamage | None:
        """Return the next batch, or what stands in its place; None at the end."""

    @property
    def path(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def schema(self) -> Schema: ...
    @property
    def topic_id(self) -> bytes: ...
    @property
    def partition(self) -> int: ...
    @property
    def base_offset(self) -> int: ...
    @property
    def schema_id(self) -> int: ...
    @property
    def incarnation(self) -> int: ...
    @property
    def created_us(self) -> int: ...
    @property
    def max_bytes(self) -> int: ...
    @property
    def previous_end_offset(self) -> int: ...

@final
class LogRepair:
    """Puts the files of a log right, which nobody may have open. One thread.

    Every method returns what it did, a sentence per act.
    """

    def __init__(self, directory: str, quarantine: str) -> None:
        """Raises LogError when another process has the log open."""

    def repair_partition(
        self,
        *,
        topic: str,
        topic_id: bytes,
        partition: int,
        known_transactions: set[int] = ...,
    ) -> list[str]: ...

@final
class ColumnEntry:
    """A column of a stored batch: see docs/formats/segment.md."""

    @property
    def id(self) -> int: ...
    @property
    def type(self) -> int: ...
    @property
    def encoding(self) -> int: ...
    @property
    def null_count(self) -> int: ...
    @property
    def dictionary_length(self) -> int: ...
    @property
    def first_buffer(self) -> int: ...
    @property
    def buffer_count(self) -> int: ...

@final
class BufferEntry:
    """A buffer of a stored batch: see docs/formats/segment.md."""

    @property
    def offset(self) -> int: ...
    @property
    def stored_length(self) -> int: ...
    @property
    def raw_length(self) -> int: ...
    @property
    def crc(self) -> int: ...
    @property
    def codec(self) -> int: ...
    @property
    def kind(self) -> int: ...

@final
class LogBatch:
    """One stored batch in mapped memory. Columns are checked on first touch."""

    @property
    def base_offset(self) -> int: ...
    @property
    def next_offset(self) -> int: ...
    @property
    def record_count(self) -> int: ...
    @property
    def append_sequence(self) -> int: ...
    @property
    def append_time_us(self) -> int: ...
    @property
    def min_timestamp_us(self) -> int: ...
    @property
    def max_timestamp_us(self) -> int: ...
    @property
    def flags(self) -> int: ...
    @property
    def transaction_id(self) -> int:
        """-1: of none."""

    @property
    def schema_id(self) -> int: ...
    @property
    def stored_bytes(self) -> int: ...
    @property
    def schema(self) -> Schema: ...
    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def path(self) -> str: ...
    @property
    def file_position(self) -> int: ...
    @property
    def has_gaps(self) -> bool:
        """Whether compaction has removed records between the first and the last."""

    def offset_deltas(self) -> Array:
        """Return the records' offsets above `base_offset`, as int32."""

    def offset_of(self, row: int) -> int: ...
    def row_from(self, offset: int) -> int:
        """Return the first row with at least that offset; `record_count` when there is none."""

    def column(self, index: int, begin: int = 0, length: int | None = None) -> Array:
        """Return rows ``[begin, begin + length)``, by default all.

        A view unless LZ4-compressed. Raises CorruptRecordError with topic, partition, offset.
        """

    def read(self, indices: Sequence[int] | None = None) -> RecordBatch:
        """Return the fields at `indices`, or all."""

    def timestamps(self) -> Array:
        """Record timestamps, int64 microseconds."""

    @property
    def producer_id(self) -> int:
        """-1 without a producer."""

    @property
    def producer_epoch(self) -> int: ...
    @property
    def base_sequence(self) -> int: ...
    @property
    def last_sequence(self) -> int: ...
    @property
    def sequence_lag(self) -> int:
        """Last sequence minus the largest up to which all are stored; 2**31 - 1: not known."""

    def sequences(self) -> Array:
        """Sequence of each record by its producer, int64; -1 without one."""

    def headers(self) -> Array | None:
        """Kafka's encoding of record headers, binary; None when no record has any."""

    @property
    def durable_offset(self) -> int: ...
    @property
    def incarnation(self) -> int: ...
    @property
    def header_crc(self) -> int: ...
    @property
    def previous_header_crc(self) -> int: ...
    @property
    def column_entries(self) -> list[ColumnEntry]: ...
    @property
    def buffer_entries(self) -> list[BufferEntry]: ...
    def verify(self) -> None:
        """Check every stored buffer. Raises CorruptRecordError."""

    def statistics(self, index: int) -> tuple[int, Any, Any] | None:
        """Return (null count, minimum, maximum); minimum and maximum None when not stored."""

def random_producer_id() -> int:
    """Return an id for a new producer: 62 random bits."""

@final
class TopicAppend:
    """One batch that a TopicWriter appended."""

    @property
    def partition(self) -> int: ...
    @property
    def record_count(self) -> int: ...
    @property
    def base_offset(self) -> int: ...
    @property
    def append_time_us(self) -> int: ...
    @property
    def append_sequence(self) -> int: ...
    @property
    def is_duplicate(self) -> bool:
        """The records were there before; `base_offset` is -1 when they are gone since."""

    @property
    def end_offset(self) -> int:
        """The records are durable when all below it is."""

@final
class TopicAppendResult:
    """What one call of TopicWriter.append published, in the order in which it happened."""

    def __init__(self) -> None: ...
    @property
    def row_count(self) -> int:
        """Rows that were given."""

    @property
    def published_count(self) -> int: ...
    @property
    def duplicate_count(self) -> int:
        """Of the published rows, those that had been there before."""

    @property
    def appends(self) -> list[TopicAppend]: ...
    def partitions(self) -> npt.NDArray[np.int32]:
        """Return the partition of each row; a copy."""

    def offsets(self) -> npt.NDArray[np.int64]:
        """Return the offset of each row in its partition, -1 where it was not published; a copy."""

@final
class TopicWriter:
    """Splits batches by key to the partitions of a topic, cuts what is too large, and appends.

    Any thread, at the same time. Keeps its partitions open.
    """

    def __init__(
        self,
        partitions: Sequence[Partition],
        *,
        key_columns: Sequence[int] = (),
        codec: Codec = "none",
        dictionary: bool = True,
        append_time: bool = False,
        max_batch_rows: int = ...,
        max_batch_bytes: int = ...,
        max_record_bytes: int = ...,
        first_keyless_partition: int = 0,
        producer_id: int = -1,
        producer_epoch: int = 0,
        producer_name: str = "",
        is_transactional: bool = False,
        positions: Sequence[tuple[int, int, int, int] | None] = (),
    ) -> None:
        """All partitions of the topic, in order. Raises ConfigError.

        With `append_time`, records get the time of their append as timestamp. Without `producer_id`
        the writer is a new producer. With `producer_name` it has written before: `positions` says
        for each partition what `positions()` said then, None where it never wrote; unless it is
        transactional, and says with `set_transaction` what its batches belong to.
        """

    def set_transaction(self, transaction_id: int, producer_epoch: int) -> None:
        """Let what is appended from now on belong to a transaction. No append may be going on."""

    def append(
        self,
        batch: RecordBatch,
        *,
        timestamps: Array | int,
        headers: Array | None = None,
        partition: int | None = None,
        acks: Acks = "interval",
        sequences: Array | None = None,
        complete_sequence: int = -1,
        result: TopicAppendResult | None = None,
    ) -> TopicAppendResult:
        """Append all rows by key, or to `partition`.

        Returns `result`, or a new one. When it raises, `result` holds what was published before,
        and the error has the attributes published_records and records. Nothing is published when a
        row is too large (RecordTooLargeError), a null is where none may be (SchemaError), or the
        partition does not exist (ConfigError). With "durable", all is appended first and then
        synced: `result` keeps what is known to last, and Ctrl-C is answered during the wait.

        A producer with a name, which one thread at a time uses, gives the rising `sequences` of the
        rows, and up to which sequence all of the topic are stored once these are. Rows whose
        sequence is not above all that the partition holds are not appended, and count as published.
        Raises FencedError when a newer epoch has written to the partition.
        """

    def check(self, batch: RecordBatch) -> None:
        """Raise what append would raise before anything is published."""

    def partition(self, number: int) -> Partition:
        """Raises IndexError."""

    @property
    def complete_sequence(self) -> int:
        """Up to which all sequences are stored, as far as the log tells; -1: none."""

    def positions(self) -> list[tuple[int, int, int, int]]:
        """Return next offset, incarnation, last and complete sequence of each partition."""

    @property
    def producer_id(self) -> int: ...
    @property
    def partitions(self) -> list[Partition]: ...

# --- runtime -------------------------------------------------------------------------------------
#
# How to run a job:
#
#   graph = Graph()
#   port = graph.add_topic_source("payments", log, partitions, event_time="ts", delay=5_000)
#   port = graph.add_filter("filter-1", port, condition)                      # an Expression
#   results, late = graph.add_window("window-2", port, size=60_000, slide=60_000, keys=["user"],
#                                    event_time="ts", aggregates=[("n", "count_all", None)])
#   graph.add_topic_sink("sink-3", results, out_partitions, key=["user"], timestamp="window_end")
#   node = graph.add_collect("collect-4", late)
#   executor = Executor(graph, threads=2)
#   while (status := executor.run(100_000)) not in ("finished", "stopped"):   # without the GIL
#       for stage in executor.pending():                                      # status "pending"
#           while (batch := executor.take(stage)) is not None:
#               executor.give(stage, [function(batch)])
#       batches += executor.take_collected(node)
#   batches += executor.take_collected(node)
#
# All times are ticks of the event-time column. A window over the results of a window takes
# event_time="window_end", event_time_offset=-1 (event time of a result row is window_end - 1).

AggregateKind = Literal[
    "count_all",
    "count",
    "sum",
    "mean",
    "min",
    "max",
    "var_samp",
    "var_pop",
    "stddev_samp",
    "stddev_pop",
    "any",
    "all",
    "first",
    "last",
    "arg_min",
    "arg_max",
    "count_distinct",
    "approx_count_distinct",
    "approx_quantile",
    "approx_quantiles",
    "collect_list",
    "top_k",
    "bottom_k",
]
TimeUnit = Literal["s", "ms", "us", "ns"]
RunStatus = Literal["finished", "stopped", "pending", "budget", "idle"]

@final
class Port:
    """An output of an operator of a Graph: the input of others."""

    @property
    def node(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...

class _AggregateCalls(Protocol):
    def add(
        self,
        states: list[Any],
        shared: list[bool],
        groups: npt.NDArray[np.int64],
        arguments: list[Array],
    ) -> list[Any]: ...
    def merge(self, states: list[Any], shared: list[bool], others: list[Any]) -> list[Any]: ...
    def results(self, states: list[Any], count: int) -> Array: ...
    def dump(self, states: list[Any]) -> list[bytes | None]: ...
    def load(self, dumped: list[bytes | None]) -> list[Any]: ...

@final
class UserAggregate:
    """An aggregate function in Python.

    `columns` of an accumulator: name, type (bool, integers, floats, timestamps, durations) and the
    bytes of the initial value; none: an accumulator is any object. States are an array for each
    column, or an object for each accumulator, None for one without rows; `shared` says which
    objects are in use elsewhere. The calls return states of the same form; dump() and load() make
    bytes of objects, for snapshots, and objects of bytes. They come from the
    thread that is in ``Executor.run``. What they raise ends the job with an OperatorError, or a
    SchemaError if it is one; its attribute `at`, if it has one that is not None, is the index of
    the accumulator whose key and window the message then names.
    """

    def __init__(
        self,
        calls: _AggregateCalls,
        columns: Sequence[tuple[str, DataType, bytes]],
        returns: DataType,
    ) -> None: ...

@final
class Graph:
    """Operators and how they are connected. Every operator has a name, for errors and metrics.

    Each call raises SchemaError (unknown column, wrong type) or ConfigError, naming the operator;
    the graph is unchanged then.
    """

    def __init__(self) -> None: ...
    def add_topic_source(
        self,
        name: str,
        log: Log,
        partitions: Sequence[Partition],
        *,
        start_offsets: Sequence[int] | None = None,
        event_time: str | None = None,
        delay: int = 0,
        watermark: Expression | None = None,
        max_ahead: int | None = None,
        idle_timeout_us: int | None = None,
        advances_when_idle: bool = False,
        bounded: bool = True,
        timestamp_column: str | None = None,
        append_time_column: str | None = None,
        on_corruption: OnCorruption = "raise",
        isolation_level: IsolationLevel = "read_committed",
        history: Sequence[RecordBatch] | object | None = None,
        alignment: tuple[str, int] | None = None,
        int64_unit: TimeUnit = "ms",
    ) -> Port:
        """Read partitions of one topic in append order; only columns that something needs.

        `alignment`: sources of this name, read apart, wait for those that are so many nanoseconds
        behind.

        `start_offsets`: one per partition; None: the log start offsets. `event_time` and `delay`:
        bounded out-of-orderness in ticks; None: no watermark before the end of the input.
        `watermark`: an expression of the event time's type that gives it instead, or null. Records
        with an event time more than `max_ahead` ticks ahead of their append time do not move the
        watermark. A partition without a batch for `idle_timeout_us` of append time does not hold
        it, and with `advances_when_idle` it goes on when all are idle. Bounded stops at the log end
        offsets seen by the first run. `timestamp_column`, `append_time_column`: add the record
        timestamp, and when the log took the record, as last columns of that name, timestamp[us].
        `history`: batches, or an object with ``__arrow_c_stream__``, that come before the topic's
        records; the watermark carries over. `int64_unit`: what an event time of int64 counts.
        """

    def add_batch_source(
        self,
        name: str,
        source: Sequence[RecordBatch] | object,
        schema: Schema,
        *,
        event_time: str | None = None,
        delay: int = 0,
        watermark: Expression | None = None,
        max_ahead: int | None = None,
        alignment: tuple[str, int] | None = None,
        int64_unit: TimeUnit = "ms",
    ) -> Port:
        """Read a list of batches, or an object with ``__arrow_c_stream__``, as one partition.

        There is no append time: with `max_ahead` records behind the year 9999 do not move the
        watermark.
        """

    def add_filter(self, name: str, input: Port, condition: Expression) -> Port:
        """Pass the rows where a bool expression is true."""

    def add_project(
        self, name: str, input: Port, outputs: Sequence[tuple[str, Expression]]
    ) -> Port:
        """Compute the columns of the output: select, rename, with_columns."""

    def add_window(
        self,
        name: str,
        input: Port,
        *,
        size: int,
        slide: int,
        offset: int = 0,
        is_cumulative: bool = False,
        keys: Sequence[str],
        event_time: str,
        event_time_offset: int = 0,
        allowed_lateness: int = 0,
        every: int = 0,
        every_ticks: int = 0,
        fires_on_close: bool = True,
        is_discarding: bool = False,
        aggregates: Sequence[
            tuple[str, AggregateKind, str | None]
            | tuple[str, AggregateKind, str | None, str | None, Sequence[float]]
            | tuple[str, Sequence[str], UserAggregate]
        ],
    ) -> tuple[Port, Port]:
        """Aggregate per key and window; return (results, late rows).

        Cumulative windows begin every `size` and grow by `slide`, which divides it. A window that
        has fired takes rows until `allowed_lateness` after its end; each fires a pane at once. A
        window also fires after `every` rows of a key and when the watermark passes a multiple of
        `every_ticks`; 0: not. `is_discarding`: a pane shows the rows since the one before.
        Results: keys, window_start, window_end, aggregates: name, kind, input column; and, where
        asked for, the column that decides (arg_min and arg_max) and parameters (quantiles and their
        relative error, or k); of one in Python name, columns, function. Late rows have the
        schema of the input; they are counted also when nothing consumes them.
        """

    def add_session_window(
        self,
        name: str,
        input: Port,
        *,
        gap: int | str,
        keys: Sequence[str],
        event_time: str,
        aggregates: Sequence[
            tuple[str, AggregateKind, str | None]
            | tuple[str, AggregateKind, str | None, str | None, Sequence[float]]
            | tuple[str, Sequence[str], UserAggregate]
        ],
        allowed_lateness: int = 0,
        event_time_offset: int = 0,
        int64_unit: TimeUnit = "ms",
    ) -> tuple[Port, Port]:
        """Aggregate per key and session; return (results, late rows) as add_window does.

        `gap`: ticks, or the name of a column of integers (ticks) or durations, for which
        `int64_unit` says what an event time of int64 counts.
        """

    def add_count_window(
        self,
        name: str,
        input: Port,
        *,
        size: int,
        slide: int,
        keys: Sequence[str],
        event_time: str | None,
        aggregates: Sequence[
            tuple[str, AggregateKind, str | None]
            | tuple[str, AggregateKind, str | None, str | None, Sequence[float]]
            | tuple[str, Sequence[str], UserAggregate]
        ],
        event_time_offset: int = 0,
    ) -> tuple[Port, Port]:
        """Aggregate the last `size` records of a key each time that `slide` more have come.

        Results: keys, window_start and window_end where there is an event time (its least, and its
        greatest plus one tick), aggregates. No row is late.
        """

    def add_pane_window(
        self,
        name: str,
        input: Port,
        *,
        kind: Literal["fixed", "cumulate", "session", "count", "global"],
        keys: Sequence[str],
        event_time: str | None,
        aggregates: Sequence[
            tuple[str, AggregateKind, str | None]
            | tuple[str, AggregateKind, str | None, str | None, Sequence[float]]
            | tuple[str, Sequence[str], UserAggregate]
        ],
        size: int = 0,
        gap: int | str = 0,
        event_time_offset: int = 0,
        allowed_lateness: int = 0,
        every: int = 0,
        every_ticks: int = 0,
        fires_on_close: bool = True,
        is_discarding: bool = False,
        slide: int = 0,
        offset: int = 0,
        trigger: _TriggerCalls | None = None,
        int64_unit: TimeUnit = "ms",
    ) -> tuple[Port, Port]:
        """Aggregate windows that a trigger fires: as add_window, add_session_window, and so on.

        `size` is that of count windows, `gap` that of sessions. Windows of counted records, and
        those that hold all, have the bounds of the records that a row shows. With a `trigger` it is
        a stage of one executor: see Executor.run_trigger.
        """

    def add_python_stage(
        self, name: str, input: Port, schema: Schema, *, keeps_rows: bool = False
    ) -> Port:
        """Hand batches to Python: see Executor.take and give. `schema` is that of the output.

        With `keeps_rows` one batch of as many rows must come back, and each row keeps its own
        watermark; else all get that from before the batch.
        """

    def add_processing_time(
        self,
        name: str,
        input: Port,
        column: str,
        *,
        waits: bool = False,
        shows_last: bool = False,
    ) -> Port:
        """Add the time of the clock as the last column, the event time of the window behind it.

        The clock fires that window. What it holds at the end of the input is shown if `shows_last`
        says so. With `waits` all fires then, and nothing before.
        """

    def add_union(self, name: str, inputs: Sequence[Port]) -> Port:
        """Put the rows of several inputs of equal columns into one stream.

        Its watermark is the minimum over the sources above that are not idle.
        """

    def add_topic_sink(
        self,
        name: str,
        input: Port,
        partitions: Sequence[Partition],
        *,
        key: Sequence[str] = (),
        acks: Acks = "interval",
        codec: Codec = "none",
        timestamp: str | None = None,
        timestamp_offset: int = 0,
        int64_unit: TimeUnit = "ms",
    ) -> int:
        """Append to a topic.

        `timestamp`: column that gives the record timestamps (int64: in `int64_unit`), with
        `timestamp_offset` ticks added; None: now.
        """

    def add_collect(self, name: str, input: Port) -> int:
        """Keep the input for Executor.take_collected."""

    def schema(self, port: Port) -> Schema: ...

@final
class OperatorMetrics:
    """One reading of an operator's counters."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def records_in(self) -> int: ...
    @property
    def records_out(self) -> int: ...
    @property
    def batches_in(self) -> int: ...
    @property
    def late_records(self) -> int: ...
    @property
    def accepted_late_records(self) -> int: ...
    @property
    def skipped_records(self) -> int: ...
    @property
    def alignment_drift_ns(self) -> int | None:
        """Of a source that is aligned: how far it is ahead of the last one, where that is known."""

    @property
    def alignment_pauses(self) -> int: ...
    @property
    def ahead_records(self) -> int: ...
    @property
    def watermark(self) -> int | None:
        """None before the first and after the last."""

    @property
    def tick_ns(self) -> int | None:
        """Nanoseconds of a tick of the watermark; None where there is none."""

    @property
    def pending_records(self) -> int | None:
        """Records of a topic source that are there and not yet taken."""

    @property
    def busy_ns(self) -> int:
        """At work, over all threads, without the operators below."""

    @property
    def threads(self) -> int:
        """How many may be at work in it at once."""

    @property
    def has_dropped(self) -> bool:
        """Whether windows of processing time were open when the input ended."""

    @property
    def state_bytes(self) -> int: ...

@type_check_only
class _TriggerCalls(Protocol):
    """What Executor.run_trigger calls, for panes by number; results are bits: 1 fire, 2 purge.

    dump, load and forget_all are called for snapshots, from any call of the Executor.
    """

    @property
    def qualified_name(self) -> str: ...
    def begin(self, panes: TriggerPanes) -> None: ...
    def next_batch(self, batch: RecordBatch) -> None: ...
    def on_element(self, pane: int, row: int, time: int) -> int: ...
    def on_event_time(self, pane: int, time: int) -> int: ...
    def on_merge(self, target: int, merged: list[int]) -> None: ...
    def state_bytes(self) -> int: ...
    def clear(self, pane: int) -> None: ...
    def dump(self, panes: list[int]) -> list[bytes | None]: ...
    def load(self, panes: list[int], dumped: list[bytes | None]) -> None: ...
    def forget_all(self) -> None: ...

@final
class TriggerPanes:
    """What a trigger may do, during a call of it alone; ConfigError at other times."""

    @property
    def watermark(self) -> int: ...
    def bounds(self, pane: int) -> tuple[int, int] | tuple[None, None]:
        """Return start and end of the window; Nones of one without an end."""

    def describe(self, pane: int) -> str:
        """Return key and window, for messages."""

    def register_timer(self, pane: int, time: int) -> None: ...
    def delete_timer(self, pane: int, time: int) -> None: ...

@final
class JobSnapshot:
    """The state of a job between two rounds: tables of columns, as in docs/formats/state.md."""

    @property
    def operators(self) -> list[str]: ...
    def tables(self, operator: str | None) -> dict[str, list[RecordBatch]]:
        """Return the tables of an operator by name; None: those of the job itself."""

    def split(self, parts: int) -> list[JobSnapshot]:
        """Return the rows of so many ranges of key groups, each with all that has no key."""

@final
class Executor:
    """Runs a graph without the GIL; deterministic whatever the threads and the cuts of reads.

    One thread at a time calls run, take, give and take_collected; any thread calls request_stop
    and metrics.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        threads: int = 1,
        round_rows: int = ...,
        chunk_rows: int = ...,
        turn_rows: int = ...,
        clock: ManualClock | None = None,
        restored: Sequence[JobSnapshot] = (),
    ) -> None:
        """Processing time is that of `clock`, or of the wall clock.

        With snapshots of one moment of this job, it goes on from there. Raises CheckpointError
        where they do not fit, and OffsetOutOfRangeError where records that come next are gone.

        Raises ConfigError when a setting is wrong or an operator's output goes nowhere.
        """

    def run(self, budget_us: int) -> RunStatus:
        """Work for about that long; tailing sources wait that long for input.

        "finished": all done; "stopped": after request_stop; "pending": take the input of the
        Python stages, then run again; "budget": there is more to do; "idle": nothing arrived.
        The first error ends the job; it has attributes operator, and topic, partition, offset
        where a batch of a topic was at hand.
        """

    def pending(self) -> list[int]:
        """Nodes of the Python stages that have input now."""

    def take(self, stage: int) -> RecordBatch | None:
        """Return the next input batch of a Python stage; answer it with give before the next."""

    def give(self, stage: int, outputs: Sequence[RecordBatch]) -> None:
        """Answer the batch taken last. All rows carry the watermark from before that batch.

        Raises SchemaError when an output is not of the stage's schema.
        """

    def run_trigger(self, stage: int) -> bool:
        """Work off one batch or watermark of windows that have a trigger; whether there is more.

        What the trigger raises comes out as it is, and ends the job.
        """

    def take_collected(self, node: int) -> list[RecordBatch]:
        """Return what a collect holds and empty it."""

    def snapshot(self) -> JobSnapshot | None:
        """Return the state of the job, or None while a stage or a collect holds something.

        Raises ClosedError when the job has failed or was stopped, and NotSupportedError where
        what an operator in Python holds cannot be pickled.
        """

    def request_stop(self) -> None:
        """End the job soon, also within a round, without a final watermark."""

    def metrics(self) -> list[OperatorMetrics]:
        """One per operator, in the order they were added."""

    def columns_read(self, source: Port) -> list[str]:
        """Names of the columns that a source reads."""

    def positions(self, source: Port) -> list[int]:
        """Next offset to be processed per partition of a topic source."""
