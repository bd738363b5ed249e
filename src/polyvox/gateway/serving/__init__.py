"""Serving: the process. What listens, how many workers there are, what a signal does.

    serve(make_app, bound, serving, on_ready)

``make_app`` is given a ``Worker`` and makes an ASGI application; it is called in the process that will
serve it. Nothing here knows what that application does.

Belongs here: sockets, processes, signals, the start and the end. Does not belong here: what is
answered, and what is told of it (``operations``).
"""
