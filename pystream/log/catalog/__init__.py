"""The catalog: its database and its format, the statements on its rows, and looking for damage."""
