"""The document that describes the gateway: OpenAPI 3.1, made of the same structs that read the bodies.

    document.py  the document, made of the tables of endpoints
    spoken.py    ... and of what is said of the dialects' bodies

Belongs here: what no table and no struct says by itself. Does not belong here: any endpoint but its own.
"""
