"""The sources of an environment that are files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pystream.connectors.file_formats import FileFormat
    from pystream.connectors.file_names import FilePaths
    from pystream.pipeline.stream import Stream
    from pystream.pipeline.watermarks import WatermarkStrategy

__all__ = ["FileSources"]


class FileSources:
    """The methods that read files, a part of :class:`Environment` with a file of its own."""

    def from_parquet(
        self,
        path: FilePaths,
        *,
        columns: Sequence[str] | None = None,
        schema: Any = None,
        watermark: WatermarkStrategy | None = None,
    ) -> Stream:
        """Read Parquet files, one after the other in the order of their names; a bounded source.

        Parameters
        ----------
        path : path or sequence of paths
            A file, a pattern such as ``"history/*.parquet"``, or a directory. Names that begin
            with ``.`` or ``_`` are left out.
        columns : sequence of str, optional
            Those to be read. Default: all.
        schema : dict, Arrow schema or Schema, optional
            The columns to be read, and the types to which they are converted, as those of a topic
            whose history they are. A value that does not fit its type exactly ends the job.
        watermark : WatermarkStrategy, optional
            Needed by windows.

        Returns
        -------
        Stream

        Raises
        ------
        ConfigError
            If there is no file, or `columns` and `schema` are both given.
        SchemaError
            If the files do not have the same columns, or not those of `schema`.
        ImportError
            If pyarrow is not installed (``pystream[arrow]``).

        Notes
        -----
        Files are read in parts of at most 65,536 rows while the job runs.

        Examples
        --------
        >>> env = ps.Environment()
        >>> env.from_arrow({"n": np.array([1, 2, 3])}).to_parquet("numbers/first.parquet")
        'numbers/first.parquet'
        >>> env.from_parquet("numbers").filter(ps.col("n") > 1).to_pandas()["n"].tolist()
        [2, 3]
        """
        from pystream.connectors.file_parquet import ParquetFormat  # noqa: PLC0415  seldom needed

        names = None if columns is None else tuple(columns)
        form = ParquetFormat(names, self._arrow_schema(schema))
        return self._files("from_parquet", path, form, watermark)

    def from_csv(
        self,
        path: FilePaths,
        *,
        schema: Any = None,
        delimiter: str = ",",
        watermark: WatermarkStrategy | None = None,
    ) -> Stream:
        """Read CSV files with a header, in the order of their names; a bounded source.

        Parameters
        ----------
        path : path or sequence of paths
            As of :meth:`from_parquet`.
        schema : dict, Arrow schema or Schema, optional
            The columns to be read. Default: all, of the types that the beginning of the first
            file looks like.
        delimiter : str, default ","
            One ASCII character.
        watermark : WatermarkStrategy, optional
            Needed by windows.

        Returns
        -------
        Stream

        Raises
        ------
        ConfigError, SchemaError, ImportError
            As :meth:`from_parquet`.

        Notes
        -----
        A row that does not fit ends the job with an OperatorError that names file and row. A field
        without anything in it is null; two quotes are the empty string.
        """
        from pystream.connectors.file_csv import CsvFormat  # noqa: PLC0415  seldom needed

        form = CsvFormat(self._arrow_schema(schema), delimiter)
        return self._files("from_csv", path, form, watermark)

    def from_json(
        self, path: FilePaths, *, schema: Any = None, watermark: WatermarkStrategy | None = None
    ) -> Stream:
        """Read files with a JSON object on each line, in the order of their names; bounded.

        Parameters
        ----------
        path : path or sequence of paths
            As of :meth:`from_parquet`; in a directory, files that end in ``.json``.
        schema : dict, Arrow schema or Schema, optional
            The columns to be read. Default: all, of the types that the beginning of the first
            file looks like; a field that appears later is an error then.
        watermark : WatermarkStrategy, optional
            Needed by windows.

        Returns
        -------
        Stream

        Raises
        ------
        ConfigError, SchemaError, ImportError
            As :meth:`from_parquet`.

        Notes
        -----
        A row that does not fit ends the job with an OperatorError that names file and row. A field
        that is missing is null.
        """
        from pystream.connectors.file_json import JsonFormat  # noqa: PLC0415  seldom needed

        form = JsonFormat(self._arrow_schema(schema))
        return self._files("from_json", path, form, watermark)

    def _files(
        self, method: str, path: FilePaths, form: FileFormat, watermark: WatermarkStrategy | None
    ) -> Stream:
        raise NotImplementedError

    def _arrow_schema(self, schema: Any) -> Any:
        raise NotImplementedError
