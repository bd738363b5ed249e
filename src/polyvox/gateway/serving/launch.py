"""How a gateway was started: what each of its workers needs to read the configuration, also anew."""

import hmac
from pathlib import Path
from typing import Any, Literal

import msgspec

from polyvox.config import Config, load_config
from polyvox.config.finding import is_configured
from polyvox.config.serving import GatewaySection
from polyvox.gateway.tenants.access import ADMIN, Access
from polyvox.gateway.tenants.keys import LONGEST, digest_of
from polyvox.gateway.web.door import Finder

__all__ = ["AdminFinder", "Launch"]


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway was started with. Goes from process to process, so it holds no key.

    ``file``          its configuration; None: what the environment says, or nothing
    ``said``          keys of [gateway] that the command line says otherwise
    ``data``          the folder of its data
    ``admin_digest``  of the administrator's key that was made for it; b"": the configuration has one
    ``log``           how it writes its log
    """

    file: Path | None
    said: dict[str, Any]
    data: Path
    admin_digest: bytes = b""
    log: Literal["json", "plain", "off"] = "json"

    def read(self) -> Config:
        """The configuration as it stands now. Raises ``ConfigurationError``."""
        configured = self.file is not None or is_configured()
        config = load_config(self.file) if configured else Config()
        return msgspec.structs.replace(config, gateway=with_said(config.gateway, self.said))


def with_said(section: GatewaySection, said: dict[str, Any]) -> GatewaySection:
    """The section with what the command line says."""
    return msgspec.structs.replace(section, **said)


class AdminFinder:
    """Knows the administrator's key by its digest, besides those that another one knows."""

    def __init__(self, finder: Finder, digest: bytes) -> None:
        self._finder = finder
        self._digest = digest

    def find(self, secret: str, address: str | None) -> Access:
        """Whose key it is. Raises ``PolyvoxError``."""
        if (
            self._digest
            and len(secret) <= LONGEST
            and hmac.compare_digest(digest_of(secret), self._digest)
        ):
            return ADMIN
        return self._finder.find(secret, address)

    async def look_for(self, secret: str) -> None:
        """Whether another process has just made it. Raises ``PolyvoxError``."""
        await self._finder.look_for(secret)
