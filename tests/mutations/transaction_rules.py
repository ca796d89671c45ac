"""Rules of transactions, broken one at a time."""

from tests.mutations.mutation import Edit, Mutation

READER = "native/storage/partition_reader.cpp"
PARTITION = "native/storage/partition_transactions.cpp"
TRACKER = "native/storage/transaction_tracker.cpp"
RECOVERY = "native/storage/recovery.cpp"
APPEND = "native/storage/append.cpp"
TRANSACTIONS = "pystream/log/transactions/transactions.py"
ROWS = "pystream/log/catalog/transactions.py"
CATALOG_ROWS = "pystream/log/catalog/rows.py"

MUTATIONS = (
    Mutation(
        "transactions: what is not decided is shown",
        (
            Edit(
                READER,
                "  return Visibility::kUndecided;\n",
                "  return Visibility::kShown;\n",
            ),
        ),
    ),
    Mutation(
        "transactions: a marker is written where one is",
        (
            Edit(
                APPEND,
                "if (marker != nullptr && !has_open_transaction(",
                "if (false && !has_open_transaction(",
            ),
        ),
    ),
    Mutation(
        "transactions: what is stable outlives a cut",
        (Edit(RECOVERY, "  state.control.forget_stable();", "  // kept"),),
    ),
    Mutation(
        "transactions: one ends where its first records are deleted",
        (
            Edit(
                TRACKER,
                "{ return open.end_offset <= log_start; }",
                "{ return open.first_offset < log_start; }",
            ),
        ),
    ),
    Mutation(
        "catalog: whole numbers are not looked at",
        (
            Edit(
                CATALOG_ROWS,
                'test = f"type({{0}}) is int and {least} <= {{0}} <= {most}"',
                'test = "True"',
            ),
        ),
    ),
    Mutation(
        "catalog: a transaction whose row was lost counts as aborted",
        (
            Edit(
                ROWS,
                "if connection.execute(left, (transaction_id,)).fetchone() is not None:",
                "if False:",
            ),
        ),
    ),
    Mutation(
        "catalog: a version that has other tables is believed",
        (
            Edit(
                "pystream/log/catalog/format.py",
                "type(row[0]) is int and row[0] == found:",
                "type(row[0]) is int:",
            ),
        ),
    ),
    Mutation(
        "catalog: a topic need not be one of those that have a history",
        (
            Edit(
                "pystream/log/catalog/topics.py",
                "    if not is_own:\n",
                "    if is_own is None:\n",
            ),
        ),
    ),
    Mutation(
        "transactions: a decision can be taken back",
        (
            Edit(
                ROWS,
                "WHERE id = ? AND state = 'open'\",",
                'WHERE id = ?",',
            ),
        ),
    ),
    Mutation(
        "transactions: offsets are stored whatever is decided",
        (
            Edit(
                TRANSACTIONS,
                "        self._offsets.setdefault(group, {}).update(added)",
                "        with self._log.catalog.writing() as connection:\n"
                "            write_offsets(connection, group.number, offsets)\n"
                "        self._offsets.setdefault(group, {}).update(added)",
            ),
        ),
    ),
    Mutation(
        "transactions: a newer producer leaves the old one's open",
        (
            Edit(
                ROWS,
                "        decide(connection, row.id, ABORTED)\n",
                "        pass\n",
            ),
        ),
    ),
    Mutation(
        "transactions: a partition that has come back counts as never given up",
        (
            Edit(
                "pystream/log/transactions/offsets.py",
                "pending is not None and pending.owner_epoch != owned[partition]",
                "False",
            ),
        ),
    ),
    Mutation(
        "catalog: what was dropped waits for the lock",
        (
            Edit(
                "pystream/log/catalog/dropped.py",
                "            if not self.lock.try_acquire():\n                return False\n",
                "            self.lock.acquire(self.lock_timeout_us)\n",
            ),
        ),
    ),
)
