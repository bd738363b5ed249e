"""Serving: the process. What listens, how many workers there are, what a signal does.

    serve(make_app, bound, serving, on_ready)

``make_app`` is given a ``Worker`` and makes an ASGI application; it is called in the process that will
serve it. Nothing here knows what that application does.

    checks.py          what must be right before
    data_folder.py     the folder of its data, locked while it runs
    launch.py          how it was started: what each worker is told of that
    listening.py       the sockets
    serve.py           ``serve``: in this process, or in several
    workers.py         several processes, watched over
    running.py         one of them, from its beginning to its end
    worker.py          ... as its application knows it
    lifespan.py        ... which begins and ends so
    servers.py         uvicorn or granian
    bounded_http.py    uvicorn's HTTP, with bounds
    exchange.py        ... its answers in one piece
    patient_socket.py  ... its WebSockets, while it stops

Belongs here: sockets, processes, signals, the start and the end. Does not belong here: what is
answered, and what is told of it (``operations``).
"""
