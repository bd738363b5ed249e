"""Budgets and limits, as they are given on the command line and shown: of keys and of others."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, get_args

import msgspec

from polyvox.cli.gateway_options import LimitOptions
from polyvox.cli.gateway_times import limit_said
from polyvox.cli.options import InputError

__all__ = ["Limits", "limits_said"]

_Sections: TypeAlias = dict[str, dict[str, Any]]


class Limits(msgspec.Struct, kw_only=True):
    """The limits of something, as the gateway gives them."""

    budgets: _Sections = {}
    limits: _Sections = {}
    shadow: bool = False
    blocked: bool = False

    @property
    def limits_told(self) -> str:
        """In short: "$10 per day, 60 requests per minute"."""
        told = [
            f"{_dollars(each['limit'])} {_per(each, 'total')}" for each in self.budgets.values()
        ]
        for each in self.limits.values():
            told += [
                f"{each[unit]:,} {unit} {_per(each, 'minute')}"
                for unit in ("requests", "tokens")
                if each.get(unit)
            ]
        return ", ".join(told) + (" (shadow)" if told and self.shadow else "")


def limits_said(options: LimitOptions, now: Limits) -> dict[str, Any]:
    """The fields that are said, as a change of what there is ``now``: a limit is known by its period."""
    fields: dict[str, Any] = {
        "budgets": dict(_budgets(options.budgets, now.budgets)),
        "limits": _limits(options, now.limits),
        "shadow": options.shadow,
        "blocked": options.blocked,
    }
    return {name: value for name, value in fields.items() if value not in (None, {})}


def _budgets(said: Sequence[str], now: _Sections) -> Iterator[tuple[str, dict[str, Any] | None]]:
    from polyvox.limits.meters import Per

    for each in said:
        amount, per = limit_said(each, "total")
        _check_per("--budget", each, per, get_args(Per))
        name = _named(now, per, "total")
        if amount != "none":
            yield name, {"limit": amount, "per": per}
        elif name in now:
            yield name, None
        else:
            raise InputError(f"--budget {each!r}: there is no such budget", _known(now))


def _limits(options: LimitOptions, now: _Sections) -> dict[str, dict[str, Any] | None]:
    from polyvox.limits.rate_limit import PERIODS

    limits: dict[str, dict[str, Any]] = {}
    for unit, given in (("requests", options.requests), ("tokens", options.tokens)):
        for said in given:
            amount, per = limit_said(said, "minute")
            _check_per(f"--{unit}", said, per, PERIODS)
            name = _named(now, per, "minute")
            if amount == "none" and unit not in now.get(name, {}):
                raise InputError(f"--{unit} {said!r}: there is no such limit", _known(now))
            if amount != "none" and not amount.isdecimal():
                raise InputError(f"--{unit} {said!r} is no number per time", "Such as 60/minute.")
            section = limits.setdefault(name, {"per": per})
            section[unit] = None if amount == "none" else int(amount)
    return {
        name: section if _counts({**now.get(name, {}), **section}) else None
        for name, section in limits.items()
    }


def _counts(section: Mapping[str, Any]) -> bool:
    return bool(section.get("requests") or section.get("tokens"))


def _named(now: _Sections, per: str, otherwise: str) -> str:
    """The name of the limit of this period: a new one is called by it."""
    names = [name for name, each in now.items() if each.get("per", otherwise) == per]
    if len(names) > 1:
        raise InputError(
            f"several are per {per}: {', '.join(names)}", "PATCH of the gateway tells them apart."
        )
    return names[0] if names else per


def _known(now: _Sections) -> str:
    return f"There are {', '.join(now)}." if now else "There is none."


def _dollars(limit: object) -> str:
    text = str(limit)
    return text if text.startswith("$") else f"${text}"


def _per(section: Mapping[str, Any], otherwise: str) -> str:
    per = section.get("per", otherwise)
    if isinstance(per, str):
        return "in total" if per == "total" else f"per {per}"
    return f"in {per:g} seconds"


def _check_per(option: str, said: str, per: str, known: Iterable[str]) -> None:
    if per not in known:
        raise InputError(
            f"{option} {said!r}: there is no {per!r}", f"Known are {', '.join(known)}."
        )
