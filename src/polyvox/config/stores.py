"""Where answers, accounts and records are kept, and who is told of calls, as the configuration says."""

from polyvox.caching import CacheStore, DiskCache, MemoryCache, RedisCache, SemanticCache
from polyvox.caching.similar import SimilarTexts
from polyvox.config.around import AccountsSection, CacheSection, LogSection, TelemetrySection
from polyvox.config.schema import Config
from polyvox.embedding import Embedder, EmbeddingRequest
from polyvox.ledger import CallLog, JsonlSink, Sink, SqliteSink, Traced, default_path
from polyvox.limits import LimitStore, MemoryLimits, RedisLimits
from polyvox.model import Call, Model
from polyvox.secret import Secret

__all__ = ["accounts_of", "answers_of", "log_of", "secrets_of", "similar", "traced"]


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


def similar(
    model: Model, section: CacheSection, embedder: Embedder, texts: SimilarTexts
) -> SemanticCache:
    """The model with the answers to similar questions, as this embedding model finds them."""
    assert section.semantic is not None

    async def embed(text: str) -> list[float]:
        found = await embedder.embed(EmbeddingRequest(inputs=[text]), Call())
        return found.vectors[0]

    return SemanticCache(
        model,
        embed=embed,
        threshold=section.semantic.threshold,
        ttl=section.ttl,
        scope=section.scope,
        texts=texts,
    )


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


def traced(model: Model, section: TelemetrySection, secrets: list[Secret]) -> Traced:
    """The model with spans and measurements. Raises ``ConfigurationError`` without the extra."""
    return Traced(model, content=section.content, redact=[*section.redact, *secrets])


def secrets_of(config: Config) -> list[Secret]:
    """Every key that the configuration holds."""
    holders = (*config.providers.values(), *config.deployments.values())
    keys = [key for holder in holders for key in holder.all_keys]
    keys += [secret for server in config.mcp.values() for secret in server.secrets]
    return list(dict.fromkeys(keys))
