"""Where the server of a dialect is asked for what."""

from urllib.parse import urlsplit

import msgspec

from polyvox.dialects import Dialect, Quirks, Target
from polyvox.messages import user
from polyvox.request import Request


class Paths:
    """Where a dialect's client half asks for what; so the server listens there."""

    def __init__(self, dialect: Dialect) -> None:
        host = "http://mock"
        quirks = Quirks(count_tokens=True)
        bare = Target(provider="mock", model="mock", base_url=host, quirks=quirks)
        request = Request(messages=[user("Hello.")], model="mock")
        suffix = dialect.encode_request(request, bare).url.removeprefix(host)
        self.base = dialect.path.removesuffix(suffix)
        target = msgspec.structs.replace(bare, base_url=host + self.base)
        models = dialect.models_request(target)
        counted = dialect.count_request(request, target)
        self.calls = dialect.path
        self.models = models and urlsplit(models.url).path
        self.count = counted and urlsplit(counted.url).path

    def known(self) -> str:
        """All of them, for a person."""
        posts = [f"POST {path}" for path in (self.calls, self.count) if path]
        return ", ".join([*posts, f"GET {self.models}"] if self.models else posts)
