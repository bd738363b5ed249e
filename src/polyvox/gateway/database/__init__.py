"""The gateway's database: SQLite or PostgreSQL.

    engine.py      ``Database``: transactions in threads of its own, in bounded time; down and up again
    sqlite.py, postgres.py   what is particular to each
    bounds.py      how long it may take
    faults.py      what goes wrong with it, as errors of ours
    metadata.py    the tables of all rooms, and columns they share
    tables.py      the ledger: calls, attempts, journals, balances, versions
    migrating.py   the schema, brought up to date; migrations/ holds the steps
    versions.py    how processes learn of changes: ``Lookout``
    glance.py      ... at once, for whoever asks for what is not known yet
    reports.py     usage, added up
    retention.py   what is too old goes

Belongs here: everything that knows which database it is. Does not belong here: what rows of other rooms
mean, and anything on the path of a call, which never waits for a database.
"""
