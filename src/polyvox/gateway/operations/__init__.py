"""Operations: what a gateway tells of itself, and how it keeps to what it can do.

    admission.py      how many calls are worked on at once
    health.py         how the parts are, from memory
    ready.py          whether calls should come here
    endpoints.py      ... both told over HTTP, and the metrics
    metrics.py        what is counted of calls and requests
    counting.py       ... cheaply
    labels.py         ... under a bounded number of names
    gauges.py         what the parts count themselves
    pages.py          what all workers count, told by each of them
    loop_lag.py       how late the event loop is
    access_log.py     a line for each request
    request_ids.py    ... by its id
    log_records.py    what our own modules tell by ``logging``
    log_lines.py      ... all written by a thread, into one log
    reload.py         a new configuration in the old one's place
    trace_context.py  a caller's trace goes on here

Belongs here: health, readiness, metrics, admission, the access log, reloading of the configuration.
Does not belong here: what a call may cost or who may make it, and the process itself (``serving``).
"""
