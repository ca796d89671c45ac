"""Harnesses that try to break the log, for ever if asked: ``make torture MINUTES=n``.

| module | what it does |
|---|---|
| ``__main__`` | runs all harnesses in turn, remembers where each is, prints the table |
| ``harness`` | what a harness is |
| ``native`` | the harnesses in ``native/tests/storage``, as programs |
| ``recorder.c``, ``recorder`` | see all calls that change files, SQLite's too; fail or kill there |
| ``trace`` | reads what was recorded |
| ``disk`` | what a disk may hold after power was lost at any moment of a trace |
| ``workload`` | a program that uses a log in many ways and says what it was promised |
| ``promises`` | compares a log with what the workload was promised |
| ``power_loss``, ``calls``, ``sequences``, ``soak`` | the harnesses of the whole log |
"""
