"""Live: what lasts longer than a request: many calls over one WebSocket, agents as models, approvals.

    wire.py        the messages of the WebSocket
    handshake.py   who may open one: origins and keys
    socket.py      the handler of ``/v1/ws``
    connection.py  one WebSocket: what the client says
    outbox.py      ... and what it is told, in turns
    starting.py    from a message to what is asked
    line.py        one call, whose events outlive a lost connection
    lines.py       the calls that may be gone on with
    agents.py      an agent as a model
    telling.py     what happens in a run, as the events of an answer
    bounds.py      how much a connection may take
    loading.py     from the configuration to agents
    suspended.py   a run that waits for somebody, and a decision
    approvals.py   all of them, each its owner's
    deciding.py    ... and the decision over HTTP
    following.py   who follows a run, and speaks into it

Belongs here: what goes on between two messages of a caller. Does not belong here: how an agent runs
(``agent``), and what becomes of a call (``asking``).
"""
