"""What was probably meant by a name that nobody knows."""

from collections.abc import Iterable

__all__ = ["did_you_mean", "hint_for", "nearest"]


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The known name that is most like this one; None if none is, 1 being the same and 0 nothing alike.

    >>> nearest("rotuer", ["routers", "retry"]), nearest("GETWETHER", ["getWeather"])
    ('routers', 'getWeather')
    """
    from difflib import get_close_matches  # slow to import, and only errors need it

    names = {each.lower(): each for each in sorted(known)}
    return next((names[each] for each in get_close_matches(name.lower(), names, 1, cutoff)), None)


def did_you_mean(name: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """The rest of a sentence that says what was probably meant, or else what there is.

    >>> did_you_mean("rotuer", ["routers", "retry"]), did_you_mean("zzz", ["routers", "retry"])
    ("; did you mean 'routers'?", '; known are retry, routers')
    """
    names = sorted(set(known))
    if close := nearest(name, names):
        return f"; did you mean {close!r}?"
    listed = f"; known are {', '.join(names)}" if names else ""
    return listed if otherwise is None else otherwise


def hint_for(
    name: str, known: Iterable[str], otherwise: str | None = None, *, cutoff: float = 0.6
) -> str:
    """The same as a sentence of its own.

    >>> hint_for("rotuer", ["routers"]), hint_for("zzz", ["routers"]), hint_for("zzz", ["a"], "")
    ("Did you mean 'routers'?", 'Known are: routers.', '')
    """
    names = sorted(set(known))
    if close := nearest(name, names, cutoff=cutoff):
        return f"Did you mean {close!r}?"
    listed = f"Known are: {', '.join(names)}." if names else ""
    return listed if otherwise is None else otherwise
