"""Whether what is limited can be counted: several workers count together only in Redis."""

from polyvox.errors import BadRequestError

__all__ = ["check_counted"]


def check_counted(what: str, *, together: bool) -> None:
    """Raises ``BadRequestError`` where each worker would count for itself, and let as much pass."""
    if together:
        return
    raise BadRequestError(
        f"{what}: this gateway has several workers, and each would count for itself alone",
        hint='Whoever runs it can let them count in Redis ([accounts] kind = "redis"), or run one worker.',
    )
