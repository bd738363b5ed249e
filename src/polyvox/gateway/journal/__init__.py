"""The journal: what is written down of each call before its last byte, and how it gets into the database.

``Journal`` appends lines to a file, in the call and in microseconds; nothing on a call's path waits for a
database. ``Shipper`` reads them in a thread of its own and writes them into the database, each exactly
once, whatever is killed when. What a dead process left is taken over by the next one.

    lines.py       what is told of a call: it began, a provider was asked, it is over
    reasons.py     ... and why it failed, without what nobody may read
    file.py        ``Journal``: appends them, and forces them onto the disk
    segments.py    ... into files, whole lines or nothing
    appending.py   ... by a call of the system that wakes nobody
    folders.py     a folder for each process, locked as long as that lives
    reading.py     the lines again, also while they are written
    joining.py     ... put together to calls
    shipping.py    ``Shipper``: the thread that brings all journals into the database
    shipment.py    ... one of them, from wherever it was left
    rows.py        calls as rows, each exactly once
    raw_rows.py    ... the usual ones by the database itself
    columns.py     which part of a line stands in which column
    balances.py    what accounts had used before this process

Belongs here: files of lines, their way into the tables of the ledger, what accounts had used.
Does not belong here: what a call may cost (``limits``), reports of what is in the tables (``database``).
"""
