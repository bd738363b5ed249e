"""Providers as rows: where each is, whose key it wants, and how its dialect differs.

The rows stand in ``providers.toml``; how to add one is said at the top of that file.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from polyvox.dialects import DIALECTS, Quirks
from polyvox.dialects.base import Auth
from polyvox.errors import ConfigurationError, MissingKeyError
from polyvox.secret import Secret
from polyvox.suggestions import hint_for

__all__ = [
    "ModelRule",
    "Provider",
    "Tier",
    "address_of",
    "base_url_of",
    "key_of",
    "load_providers",
    "missing_key",
    "provider_named",
    "quirks_for",
    "read_row",
]

Tier: TypeAlias = Literal["verified", "community"]

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_HEADER = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
_PLACEHOLDER = re.compile(r"\{(\w+(?: or \w+)*)\}")
_UNKNOWN_FIELD = re.compile(r"unknown field `(\w+)`")
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where a server that listens on all addresses is reached from its own machine."""


class ModelRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is different for some of a provider's models.

    ``match`` are globs on the model's name, upper and lower case alike; ``quirks`` are fields of
    ``Quirks`` with their values for these models.
    """

    match: tuple[str, ...]
    quirks: dict[str, Any]

    def __post_init__(self) -> None:
        if not self.match or not all(self.match):
            raise ValueError("match needs at least one glob, such as 'gpt-4*'")
        try:
            msgspec.convert(self.quirks, Quirks)
        except msgspec.ValidationError as error:
            raise ValueError(f"quirks: {error}") from None

    def fits(self, model: str) -> bool:
        """Whether one of the globs matches the model's name."""
        return any(fnmatchcase(model.lower(), glob.lower()) for glob in self.match)


class Provider(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One row: a provider, as data.

    ``name``            the row's key: what stands before the slash in "openai/gpt-5-mini"
    ``title``           its name for people
    ``dialect``         the wire format, a key of ``polyvox.dialects.DIALECTS``
    ``base_url``        where it is asked; ``{VARIABLE}`` stands for an environment variable,
                        ``{ONE or OTHER}`` for the first of them that is set
    ``base_url_env``    environment variables with another address; the first that is set counts
    ``base_url_suffix`` the path that an address from the environment ends with, or else is given
    ``base_url_port``   the port of an address without one; without it a scheme must be there too
    ``key_env``         environment variables with the key; the first that is set counts
    ``key_page``        the provider's page where keys are made, by name
    ``auth``            how the key travels
    ``headers``         headers of every request
    ``local``           it runs on the user's own machines: free of charge, the key is optional
    ``catalog``         its id in the price data, where that is not ``name``
    ``quirks``          how it speaks the dialect
    ``models``          where some of its models differ again; all rules that fit apply, in order
    ``example``         one of its models, for documentation and suggestions
    ``notes``           what a user should know, in a sentence
    ``tier``            "verified": the SDK that its own documentation sets at this address reads what
                        our server half says, and says what it reads (tests/clients/verified.py)
    """

    name: str
    title: str
    base_url: str
    dialect: str = "openai-chat"
    base_url_env: tuple[str, ...] = ()
    base_url_suffix: str = ""
    base_url_port: int | None = None
    key_env: tuple[str, ...] = ()
    key_page: str = ""
    auth: Auth = "bearer"
    headers: dict[str, str] = {}
    local: bool = False
    catalog: str = ""
    quirks: Quirks = Quirks()
    models: tuple[ModelRule, ...] = ()
    example: str = ""
    notes: str = ""
    tier: Tier = "community"

    def __post_init__(self) -> None:
        scheme = self.base_url.startswith(("https://", "http://", "{"))
        variables = (*self.key_env, *self.base_url_env, *_variables(self.base_url))
        checks = {
            "name must be of lower-case letters, digits and hyphens": _NAME.fullmatch(self.name),
            f"dialect {self.dialect!r} is none of {', '.join(DIALECTS)}": self.dialect in DIALECTS,
            "base_url must begin with https:// or http://": scheme,
            "base_url must not end with a slash": not self.base_url.endswith("/"),
            "headers must be names with texts of one line": _are_headers(self.headers),
            "base_url_suffix must begin with a slash": self.base_url_suffix[:1] in ("", "/"),
            "environment variables must be upper-case": all(map(_VARIABLE.fullmatch, variables)),
        }
        for problem, fine in checks.items():
            if not fine:
                raise ValueError(problem)


def _are_headers(headers: Mapping[str, str]) -> bool:
    named = all(map(_HEADER.fullmatch, headers))
    return named and all(value.isprintable() for value in headers.values())


def _variables(url: str) -> list[str]:
    """The environment variables that an address has places for."""
    return [name for names in _PLACEHOLDER.findall(url) for name in names.split(" or ")]


def load_providers() -> dict[str, Provider]:
    """The packaged rows by name, read anew at each call.

    >>> load_providers()["groq"].base_url
    'https://api.groq.com/openai/v1'
    """
    text = Path(__file__).with_name("providers.toml").read_text(encoding="utf-8")
    tables: dict[str, dict[str, Any]] = tomllib.loads(text)["providers"]
    return {name: read_row(name, _inherited(tables, name)) for name in tables}


def _inherited(tables: Mapping[str, dict[str, Any]], name: str) -> dict[str, Any]:
    """The fields of a row, and where it is ``like`` another one, what it leaves unsaid of that one's.

    Its quirks are added to the other's, its rules for models come after the other's.
    """
    fields = dict(tables[name])
    if "like" not in fields:
        return fields
    other = tables[fields.pop("like")]
    quirks = {**other.get("quirks", {}), **fields.get("quirks", {})}
    rules = [*other.get("models", []), *fields.get("models", [])]
    return {**other, **fields, "quirks": quirks, "models": rules}


def read_row(name: str, fields: object) -> Provider:
    """The row of that name from plain values, such as a table of a TOML file.

    Raises ``ConfigurationError``, which names the row, the field and how to put it right.
    """
    try:
        table = msgspec.convert(fields, dict[str, object])
        return msgspec.convert({"title": name} | table | {"name": name}, Provider)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"provider {name!r}: {error}", hint=_field_hint(error)) from None


def provider_named(rows: Mapping[str, Provider], name: str) -> Provider:
    """The row of that name. Raises ``ConfigurationError``, which names the nearest known one."""
    if name in rows:
        return rows[name]
    raise ConfigurationError(
        f"there is no provider {name!r}",
        hint=hint_for(name, (*rows, "simulated", "composite"), cutoff=0.7),
    )


def quirks_for(provider: Provider, model: str) -> Quirks:
    """How this provider speaks its dialect when it is asked for this model.

    >>> quirks_for(load_providers()["openai"], "gpt-4o").reasoning_style
    'none'
    """
    changes: dict[str, Any] = {}
    for rule in provider.models:
        if rule.fits(model):
            changes |= rule.quirks
    return msgspec.convert(msgspec.to_builtins(provider.quirks) | changes, Quirks)


def key_of(provider: Provider, environ: Mapping[str, str]) -> Secret | None:
    """The provider's key from the environment, or None."""
    found = _first(provider.key_env, environ)
    return Secret(found[1]) if found else None


def missing_key(provider: Provider) -> MissingKeyError:
    """The error that there is no key for this provider, with what to do about it."""
    variables = " or ".join(provider.key_env)
    ways = [f"Set {variables}"] if variables else []
    ways.append(f"pass keys={{{provider.name!r}: ...}}")
    page = f" Keys are made on the page {provider.key_page!r}." if provider.key_page else ""
    error = MissingKeyError(
        f"there is no API key for {provider.title}",
        hint=f"{' or '.join(ways)}.{page}"
        " Without a key: simulated/echo, simulated/lorem and simulated/tools.",
    )
    error.provider = provider.name
    return error


def base_url_of(provider: Provider, environ: Mapping[str, str]) -> str:
    """Where the provider is asked, without a slash at the end.

    Raises ``ConfigurationError``, which names the variable, if one is needed and not set or if its
    value is no address.

    >>> base_url_of(load_providers()["ollama"], {"OLLAMA_HOST": "gpu-box"})
    'http://gpu-box:11434'
    """
    override = _first(provider.base_url_env, environ)
    if override is not None:
        return address_of(provider, *override)
    url = provider.base_url
    if "{" not in url:
        return url
    needed = _PLACEHOLDER.findall(url)
    for variables in needed:
        found = _first(variables.split(" or "), environ)
        if found is None:
            raise _missing_address(provider, variables.partition(" or ")[0])
        url = url.replace(f"{{{variables}}}", found[1].rstrip("/"))
    return address_of(provider, needed[0], url)


def address_of(provider: Provider, variable: str, text: str) -> str:
    """What the user wrote, with the scheme, the port and the path that it lacks.

    Raises ``ConfigurationError``, which names ``variable``, if it is no address.
    """
    try:
        url = _complete(text, provider.base_url_port)
    except ValueError:
        # The value may hold a password and is not repeated.
        raise ConfigurationError(
            f"{provider.name}: {variable} holds no address",
            hint="An address looks like https://host/path or http://127.0.0.1:8080/v1.",
        ) from None
    suffix = provider.base_url_suffix
    return url if url.endswith(suffix) else url + suffix


def _complete(text: str, default_port: int | None) -> str:
    """The address with scheme and port, where ``default_port`` allows their absence.

    Known forms: a URL, "host", "host:port", ":port", "::1", "[::1]:port".
    """
    bare = "://" not in text
    if bare and default_port is None:
        raise ValueError("no scheme")
    if bare and text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]"
    parts = urlsplit(f"http://{text}" if bare else text)
    host = parts.hostname or ("127.0.0.1" if bare else "")
    if not host or parts.scheme not in ("http", "https"):
        raise ValueError("no host, or not HTTP")
    port = parts.port or (default_port if bare else None)
    reachable = _ANY_ADDRESS.get(host, host)
    user, at, _ = parts.netloc.rpartition("@")
    name = f"[{reachable}]" if ":" in reachable else reachable
    place = f"{user}{at}{name}" + (f":{port}" if port else "")
    return parts._replace(netloc=place).geturl().rstrip("/")


def _missing_address(provider: Provider, variable: str) -> ConfigurationError:
    error = ConfigurationError(
        f"the address of {provider.title} is not known: {variable} is not set",
        hint=f"Set {variable}, or pass base_urls={{{provider.name!r}: 'https://...'}}.",
    )
    error.provider = provider.name
    return error


def _first(variables: Iterable[str], environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The first of these variables that holds something, with what it holds."""
    for variable in variables:
        value = environ.get(variable, "").strip().strip("\"'")
        if value:
            return variable, value
    return None


def _field_hint(error: msgspec.ValidationError) -> str | None:
    """The field that was probably meant, if the error is about an unknown one."""
    text = str(error)
    unknown = _UNKNOWN_FIELD.search(text)
    if unknown is None:
        return None
    kind = Quirks if "quirks" in text else ModelRule if "models" in text else Provider
    return hint_for(unknown[1], kind.__struct_fields__)
