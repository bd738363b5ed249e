"""A mixture of LiteLLM's calls, made by hand: it has none of its own."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from bench.contenders import Layer, Tell, litellm_sdk
from bench.contenders.by_hand import by_hand
from bench.contenders.litellm_sdk import litellm  # whose environment is set there

VERSIONS = litellm_sdk.VERSIONS


@asynccontextmanager
async def layers(url: str) -> AsyncGenerator[dict[str, Layer]]:
    """One way to read."""

    async def ask(prompt: str, tell: Tell) -> str:
        texts: list[str] = []
        settings = litellm_sdk.settings(url)
        await litellm_sdk.read_stream(litellm.acompletion, prompt, tell, texts, **settings)
        return "".join(texts)

    yield {"by hand": Layer(lambda prompt, tell: by_hand(ask, prompt, tell))}
