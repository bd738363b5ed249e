"""Which part of a call's lines stands in which column of the ledger's tables."""

from polyvox.gateway.database.tables import attempts, calls

__all__ = ["ASKED", "ATTEMPT", "BEGUN", "CALL", "ENDED", "TOKENS", "TOTALS"]

BEGUN = (
    *("id", "at", "model", "key", "organisation", "team", "end_user", "kind", "dialect"),
    *("session", "context", "prompt", "tags", "request_id"),
)
"""Columns of ``calls`` that are fields of ``Begun``; those of ``ENDED`` are ``Ended``'s."""

ENDED = ("partial", "cached", "seconds", "first_token", "overhead", "reason")

ASKED = {
    "provider": "provider",
    "model": "model",
    "at": "started",
    "seconds": "seconds",
    "first_byte": "first_byte",
    "basis": "usage.basis",
    "cost_status": "usage.cost.status",
    "cost_source": "usage.cost.source",
    "error": "error",
    "status_code": "status",
    "reason": "reason",
    "request_id": "request_id",
    "response_model": "response_model",
}
"""Where an attempt has what stands in the column of ``attempts``."""

TOKENS = tuple(name for name in attempts.c.keys() if name.endswith("_tokens"))  # noqa: SIM118
"""Columns of ``attempts`` that are fields of its usage; in ``calls`` are the sums of ``TOTALS``."""

TOTALS = tuple(name for name in TOKENS if name in calls.c)

CALL = (*BEGUN, *ENDED, "status", "cost_status", *TOTALS, "nanos")
ATTEMPT = ("call", "number", *ASKED, *TOKENS, "nanos")
