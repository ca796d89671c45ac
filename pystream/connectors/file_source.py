"""Files as a source: one batch after the other, in the order of the files' names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pystream._native import Schema
from pystream.connectors.file_formats import BadRowError, FileFormat
from pystream.connectors.file_names import FilePaths, find_files
from pystream.errors import NotSupportedError, OperatorError, SchemaError, StorageError
from pystream.log._optional import require

if TYPE_CHECKING:
    import pyarrow

__all__ = ["FileReader", "FileSource"]


@dataclass(frozen=True)
class FileSource:
    """Files of one format and schema; knows how to read them, holds none open.

    Attributes
    ----------
    method : str
        That made it, for messages: ``"from_csv"``.
    files : tuple of str
    form : FileFormat
    arrow : pyarrow.Schema
        Of the batches that are read.
    schema : Schema
        The same, as the engine has it.
    """

    method: str
    files: tuple[str, ...]
    form: FileFormat
    arrow: pyarrow.Schema
    schema: Schema

    @classmethod
    def of(cls, method: str, paths: FilePaths, form: FileFormat) -> FileSource:
        """Look into the files: the first gives the schema, unless the format has one already.

        Raises
        ------
        ConfigError
            If there is no file.
        SchemaError
            If the files have different columns, as far as that can be seen without reading them.
        NotSupportedError
            If a column has a type that pystream does not have; names the column.
        """
        files = find_files(paths, form.ending, method)
        first, arrow = files[0], None
        for file in files:
            with naming(method, file):
                if arrow is None:
                    first, arrow = file, form.schema_of(file)
                else:
                    form.check(file, arrow)
        if arrow is None:
            raise SchemaError(
                f"{method}: {files[0]}: the file is empty, so its columns are unknown. Pass "
                "schema=."
            )
        try:
            schema = Schema.from_arrow(arrow)
        except NotSupportedError as error:
            problem = str(error).partition(" Cast it ")[0]
            raise NotSupportedError(
                f"{method}: {first}: {problem} {form.way_out}", column=error.column
            ) from None
        return cls(method, files, form, arrow, schema)

    @property
    def label(self) -> str:
        """The files in a few words, for ``explain()``."""
        more = f" and {len(self.files) - 1} more" if len(self.files) > 1 else ""
        return f"{self.files[0]!r}{more}"

    def open(self, operator: str) -> FileReader:
        """Return a reader from the first file on, for one run of a job."""
        return FileReader(self, operator)


class FileReader:
    """Reads the files once, when somebody pulls (``__arrow_c_stream__``); at most one is open.

    Attributes
    ----------
    error : BaseException or None
        What ended the reading. The stream that carries batches can only carry its text.
    """

    def __init__(self, source: FileSource, operator: str) -> None:
        self._source = source
        self._operator = operator
        self.error: BaseException | None = None

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        arrow = require("pyarrow", extra="arrow")
        reader = arrow.RecordBatchReader.from_batches(self._source.arrow, self._batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pyarrow.RecordBatch]:
        try:
            for file in self._source.files:
                with naming(f"operator {self._operator!r}", file, self._operator):
                    row = self._source.form.first_row
                    for batch in self._source.form.read(file, self._source.arrow):
                        _check_nulls(batch, row)
                        row += batch.num_rows
                        yield batch
        except GeneratorExit:
            raise  # nobody wants the rest
        except BaseException as error:
            self.error = error
            raise


def _check_nulls(batch: pyarrow.RecordBatch, first_row: int) -> None:
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if not field.nullable and column.null_count > 0:
            row = first_row + column.is_null().index(True).as_py()
            raise BadRowError(f"row {row}: column {field.name!r} is null, but declared not null")


class naming:  # noqa: N801  reads as a word of a with statement
    """Turns what reading a file raises into an error that names the file."""

    def __init__(self, what: str, file: str, operator: str | None = None) -> None:
        self._what = what
        self._file = file
        self._operator = operator

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        arrow = require("pyarrow", extra="arrow")
        if isinstance(error, BadRowError | arrow.ArrowException):
            message = f"{self._what}: {self._file}: {str(error).rstrip('.')}. Mend the file"
            hint = ", or pass a schema that fits it." if self._operator else "."
            raise OperatorError(message + hint, operator=self._operator) from error
        if isinstance(error, OSError) and self._operator:
            raise OperatorError(
                f"{self._what}: {self._file}: {error}. A job reads its files when it runs: leave "
                "them where they were when its chain was built.",
                operator=self._operator,
            ) from error
        if isinstance(error, OSError):
            raise StorageError(
                f"{self._what}: {self._file}: {error}. Make it a whole file that can be read.",
                errno=error.errno,
                path=self._file,
            ) from error
        if isinstance(error, SchemaError) and self._file not in str(error):
            raise SchemaError(f"{self._what}: {self._file}: {error}", column=error.column) from None
