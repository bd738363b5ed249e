"""Operations: what a gateway tells of itself, and how it keeps to what it can do.

Belongs here: health, readiness, metrics, admission, the access log, reloading of the configuration.
Does not belong here: what a call may cost or who may make it, and the process itself (``serving``).
"""
