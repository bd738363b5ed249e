"""What ``polyvox doctor`` finds out without asking anybody: versions, transport, keys, network."""

import platform
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Literal, TypeAlias

import msgspec

from polyvox.cli.version import VERSION
from polyvox.errors import PolyvoxError
from polyvox.providers import Registry
from polyvox.secret import without_password
from polyvox.transport.choice import VARIABLE, choose_transport

__all__ = [
    "Check",
    "Status",
    "check_addresses",
    "check_keys",
    "check_network",
    "check_transport",
    "check_versions",
]

Status: TypeAlias = Literal["ok", "off", "warning", "failed"]
"""``off`` is fine too: it is only not there."""

_PACKAGES = {
    "aiohttp": "",
    "msgspec": "",
    "click": "cli",
    "rich": "cli",
    "prompt_toolkit": "cli",
    "pytest": "testing",
    "litellm": "litellm",
    "botocore": "bedrock",
    "mcp": "mcp",
    "starlette": "gateway",
    "granian": "granian",
    "psycopg": "postgres",
    "redis": "redis",
    "opentelemetry-api": "otel",
    "matplotlib": "eval",
}
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")


class Check(msgspec.Struct, omit_defaults=True):
    """One thing that was looked at; ``fix`` says what to do if it isn't as it should be."""

    section: str
    name: str
    status: Status
    text: str
    fix: str = ""


def check_versions() -> Iterator[Check]:
    """Polyvox, Python, and the packages that are used."""
    yield Check("versions", "polyvox", "ok", VERSION)
    yield Check("versions", "python", "ok", f"{platform.python_version()} on {sys.platform}")
    for package, extra in _PACKAGES.items():
        try:
            yield Check("versions", package, "ok", version(package))
        except PackageNotFoundError:
            fix = f"pip install 'polyvox[{extra}]'" if extra else f"pip install {package}"
            yield Check("versions", package, "off" if extra else "failed", "not installed", fix)


def check_transport() -> Check:
    """Who moves the bytes, and why."""
    try:
        choice = choose_transport()
    except PolyvoxError as error:
        return Check("transport", VARIABLE, "failed", error.text, error.hint or "")
    return Check("transport", choice.name, "ok", choice.why, choice.missing)


def check_keys(registry: Registry) -> Iterator[Check]:
    """Every provider whose key is set; all others in one line."""
    missing: dict[str, None] = {}  # each once: two providers may share a key
    for row in registry.rows.values():
        key = registry.key(row)
        if key is not None:
            variable = next(name for name in row.key_env if registry.environ.get(name, "").strip())
            length = len(key.reveal())
            yield Check("keys", row.name, "ok", f"{variable} is set: *** ({length} characters)")
        elif where := registry.credentials(row):
            yield Check("keys", row.name, "ok", f"no key, but AWS credentials: {where}")
        elif row.key_env and not row.local:
            missing[row.key_env[0]] = None
    if missing:
        yield Check("keys", "not set", "off", ", ".join(missing))


def check_addresses(registry: Registry) -> Iterator[Check]:
    """Addresses that the environment gives in place of the usual ones."""
    for row in registry.rows.values():
        variable = next((name for name in row.base_url_env if registry.environ.get(name)), None)
        needed = variable is None and "{" in row.base_url and registry.key(row) is not None
        if variable is None and not needed:
            continue
        try:
            text = without_password(registry.base_url(row))
            yield Check(
                "addresses", row.name, "ok", f"{text} (from {variable})" if variable else text
            )
        except PolyvoxError as error:
            yield Check("addresses", row.name, "failed", error.text, error.hint or "")


def check_network(environ: Mapping[str, str]) -> Iterator[Check]:
    """Proxies and certificates that the environment names."""
    for name in _PROXIES:
        found = next((n for n in (name, name.upper()) if environ.get(n)), None)
        if found is not None:
            yield Check("network", found, "ok", _shown(found, environ[found]))
    named = [name for name in _CERTIFICATES if environ.get(name)]
    yield from (Check("network", name, "ok", environ[name]) for name in named)
    if named:
        from polyvox.transport.environment import tls_context

        try:
            tls_context()
        except PolyvoxError as error:
            fix = error.hint or "Correct the variable, or unset it to trust the usual authorities."
            yield Check("network", "certificates", "failed", error.text, fix)


def _shown(name: str, value: str) -> str:
    if name.lower() == "no_proxy":
        return value
    return without_password(value if "://" in value else f"http://{value}")
