"""Tenants: organisations, teams, keys and end users; what each may do, and how much of it.

    access.py                the rights of a key
    keys.py                  what a key looks like, and which are too weak
    objects.py, levels.py    what an administrator says, and the limits that come of it
    tables.py, store.py      where it stands: rows in the database, secrets only as digests or sealed
    directory.py             all keys in memory, so that no call waits for a database
    standing.py              what is left of a key's budgets
    admin.py, own.py         the endpoints: for administrators, and for whoever has a key

Belongs here: who may do what, and within which limits.
Does not belong here: keeping the accounts (``limits``), the path of a call (``asking``), HTTP (``web``).
"""
