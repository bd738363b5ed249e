"""The journal: what is written down of each call before its last byte, and how it gets into the database.

``Journal`` appends lines to a file, in the call and in microseconds; nothing on a call's path waits for a
database. ``Shipper`` reads them in a thread of its own and writes them into the database, each exactly
once, whatever is killed when. What a dead process left is taken over by the next one.

Belongs here: files of lines, their way into the tables of the ledger, what accounts had used.
Does not belong here: what a call may cost (``limits``), reports of what is in the tables (``database``).
"""
