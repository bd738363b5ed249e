"""Conversations that the gateway keeps: begun, gone on with from any dialect, found, forked, made shorter.

    contexts.py    ``Contexts``: all that can be done with them
    opening.py     one as a writer finds it
    leases.py      ... who is alone with it meanwhile
    memory.py      ... with what was read of it before
    turns.py       a call that goes on with it: what is asked, what is kept
    window.py      how much of it a model is given
    compacting.py  the summary of its older part
    editing.py     what its owner does to it
    finding.py     lists, and the words that were said
    store.py       what is asked of the database
    tables.py      rows
    exchange.py    messages as they come in and go out
    shapes.py      what goes in and out over HTTP
    endpoints.py   the endpoints

Belongs here: what was said in a conversation, who may see it, who writes to it now, and how much of it
a model is given. Does not belong here: asking the model, and what a template says (``prompts``).
"""
