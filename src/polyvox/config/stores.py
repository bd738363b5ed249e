"""Where answers, accounts and records are kept, as the configuration says."""

from polyvox.caching import CacheStore, DiskCache, MemoryCache, RedisCache
from polyvox.config.around import AccountsSection, CacheSection, LogSection
from polyvox.config.schema import Config
from polyvox.ledger import CallLog, JsonlSink, Sink, SqliteSink, default_path
from polyvox.limits import LimitStore, MemoryLimits, RedisLimits
from polyvox.secret import Secret

__all__ = ["accounts_of", "answers_of", "log_of", "secrets_of"]


def answers_of(section: CacheSection) -> CacheStore | None:
    """The store of a cache; None if it is off. Raises ``ConfigurationError`` without the extra."""
    size = () if section.max_bytes is None else (section.max_bytes,)
    if section.kind == "memory":
        return MemoryCache(*size)
    if section.kind == "disk":
        assert section.path is not None
        return DiskCache(section.path, *size)
    if section.kind == "redis":
        return RedisCache(section.url.reveal()) if section.url else RedisCache()
    return None


def accounts_of(section: AccountsSection | None) -> LimitStore:
    """The store of budgets and limits. Raises ``ConfigurationError`` without the extra."""
    if section is None or section.kind == "memory":
        return MemoryLimits()
    url = section.url.reveal() if section.url else "redis://localhost:6379/0"
    timeout = 0.5 if section.timeout is None else section.timeout
    return RedisLimits(url, timeout=timeout, on_store_failure=section.on_failure)


def log_of(section: LogSection, secrets: list[Secret]) -> CallLog:
    """The log; POLYVOX_LOG=off is one that writes nothing, when the file names no path."""
    path = section.path or default_path()
    sink: Sink | None = None
    if path is not None and section.is_jsonl:
        limits = {"max_bytes": section.max_bytes, "keep": section.keep}
        sink = JsonlSink(
            path, **{name: value for name, value in limits.items() if value is not None}
        )
    elif path is not None:
        sink = SqliteSink(path)
    return CallLog(
        *([sink] if sink else ()),
        content=section.content,
        rate=section.rate or 0.0,
        redact=[*section.redact, *secrets],
        keep_bytes=section.keep_bytes,
    )


def secrets_of(config: Config) -> list[Secret]:
    """Every key that the configuration holds."""
    holders = (*config.providers.values(), *config.deployments.values())
    return list(dict.fromkeys(key for holder in holders for key in holder.all_keys))
