"""Tenants: organisations, teams, keys and end users; what each may do, and how much of it.

    access.py                the rights of a key
    keys.py, addresses.py    what a key looks like, which are too weak, and from where one is good
    objects.py, levels.py    what an administrator says, and the limits that come of it
    counting.py              ... if all workers count them together
    tables.py, shelf.py      where it stands: rows in the database, secrets only as digests or sealed
    store.py, changing.py    every change of it, in one transaction
    provider_keys.py         our own keys at providers
    sealing.py               ... sealed, or by reference to the environment
    directory.py             all keys in memory, so that no call waits for a database
    entries.py, rows.py      ... made of what the database and the configuration say
    standing.py              what is left of budgets and limits
    overview.py              ... of everybody's and of the file's, for administrators and the metrics
    admin.py, own.py         the endpoints: for administrators, and for whoever has a key

Belongs here: who may do what, and within which limits.
Does not belong here: keeping the accounts (``limits``), the path of a call (``asking``), HTTP (``web``).
"""
