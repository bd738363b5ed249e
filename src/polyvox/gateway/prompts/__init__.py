"""Templates of prompts: named, in versions that never change, used by name in any call.

    prompts.py     ``Prompts``: all that can be done with them
    shelf.py       all of them in memory, by name, version and tag
    writing.py     every change, in one transaction
    tables.py      rows
    rendering.py   a template checked, and put to use
    sandbox.py     ... by a Jinja that reaches nothing else
    filters.py     ... what it may do with a value
    purse.py       ... and how much work that may be
    files.py       templates as files
    shapes.py      what goes in and out over HTTP
    endpoints.py   the endpoints

Belongs here: what a template is, how it is rendered without doing harm, its versions, tags and files.
Does not belong here: asking a model, and the options of ``[templates]`` in the configuration.
"""
