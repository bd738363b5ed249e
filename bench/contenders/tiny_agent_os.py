"""tiny-agent-os over its compiled binding: ``stream_rust_binding``, every event of it."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from tinyagent.agent_types import Context, SimpleStreamOptions, TextContent, UserMessage
from tinyagent.rust_binding_provider import RustBindingModel, stream_rust_binding

from bench.contenders import Tell

VERSIONS = ["tiny-agent-os"]


@asynccontextmanager
async def connect(url: str) -> AsyncGenerator[Callable[[str, Tell], Awaitable[int]]]:
    model = RustBindingModel(
        provider="openai", id="gpt-5-mini", base_url=f"{url}/v1/chat/completions"
    )
    options = SimpleStreamOptions(api_key="none")

    async def read(prompt: str, tell: Tell) -> int:
        seen = 0
        asked = [UserMessage(content=[TextContent(text=prompt)])]
        async for event in await stream_rust_binding(model, Context(messages=asked), options):
            if event.type == "text_delta" and event.delta:
                seen += 1
                tell(seen)
        return seen

    yield read
