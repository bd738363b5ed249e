"""The path of a call: who asks, may they, who answers, what is told, what is settled.

    dialects.py    a request in any dialect -> Asked
    call_watch.py  who looks on: metrics, and whether calls can be recorded
    telling.py     events -> an answer in the same dialect
    leaving.py     a caller who leaves
    signatures.py  whose the reasoning is that callers bring back
    wishes.py      what a caller may say beside the request
    asking.py      Asked -> events: the whole path
    plan.py        may they, whom, how much: decided in memory, before anybody is asked
    gates.py       the budgets and limits of a caller, reserved together
    counting.py    ... where those are counted may be away
    books.py       what is written into the journal
    models.py      names -> models
    calls.py       the calls that are under way
    past.py        the calls that are over
    endpoints.py   ... listed and ended over HTTP
    refusals.py    errors as a caller is to see them

Belongs here: what is the same for every call, whoever carries it. Does not belong here: sockets (``web``,
``live``), and what a room of its own decides (``tenants``, ``contexts``, ``prompts``).
"""
