"""HTTP as values: what came in, what goes out, and what is the same for every endpoint.

    asgi.py        ASGI's words as types
    incoming.py    a request and its answer, as plain as a call can have it
    crowd.py       ... who wait for theirs
    endpoints.py   an endpoint as data, for everything else
    bodies.py      ... what stands in its body
    patterns.py    ... what a name in it may look like
    door.py        who comes in
    cors.py        ... from which web pages
    proxies.py     ... behind which proxies
    ids.py         names of things

Belongs here: what every room that is asked over HTTP needs. Does not belong here: what is answered, and the
process that listens (``serving``).
"""
