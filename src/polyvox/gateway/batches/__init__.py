"""Files of requests, worked off in the background; what OpenAI's API calls files and batches.

    shapes.py      what goes in and out over HTTP
    endpoints.py   the endpoints
    bounds.py      how much of it there may be
    tables.py      rows; the contents of files stand in a folder
    owners.py      whose they are
    folders.py     the folder that their contents stand in
    receiving.py   an upload, onto the disk as it comes
    files.py       files: contents in a folder, rows in the database
    rows.py        batches and who works on them
    lines.py       the lines of an input, and what is wrong with them
    progress.py    what has become of each line, so that nothing is asked twice
    answering.py   one line to its answer, by the path of every other call
    turns.py       whose line is next: fair, and only where nobody else wants the room
    work.py        one batch from its first line to its output
    runner.py      all batches of one process

Belongs here: what waits, goes on after a crash, and ends by itself.
Does not belong here: how a call is answered (``asking``), and what a key may spend (``tenants``).
"""
