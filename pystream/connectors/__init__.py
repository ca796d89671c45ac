"""Sources and sinks besides topics: Parquet, CSV and JSON-lines files, through pyarrow."""
