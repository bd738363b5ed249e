"""Every way in which a gateway can be asked to spend something.

A door is called with who asks, and prepares what it needs; what it gives is called to ask, and gives
what was answered.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias

import aiohttp
import msgspec
import websockets

from gateway.running import Running

from .rig import WORDS, until

Ask: TypeAlias = Callable[[], Awaitable[str]]
Door: TypeAlias = Callable[["Asker"], Awaitable[Ask]]

DIALECTS = {
    "chat": "openai-chat",
    "responses": "openai-responses",
    "messages": "anthropic-messages",
    "gemini": "gemini",
    "ollama": "ollama",
}
"""The dialects by short names."""

HELLO = [{"role": "user", "content": "Hello."}]
OVER = ("completed", "failed", "expired", "cancelled")
FREE = {
    *("/v1/messages/count_tokens", "/v1/responses/input_tokens"),
    *("/v1beta/models/{model}:countTokens", "/v1/models/{model}:countTokens"),
    *("/v1/calls/{call}/interrupt", "/v1/contexts", "/v1/contexts/{context}/messages"),
    *("/v1/contexts/{context}/fork", "/v1/prompts", "/v1/prompts/{prompt}/versions"),
    *("/v1/prompts/{prompt}/render", "/v1/prompts/{prompt}/compare"),
    *("/v1/files", "/v1/batches/{batch}/cancel"),
}
"""What a holder of a key may post that costs nothing."""


class Asker(msgspec.Struct):
    """Who asks. ``wishes`` go with each call; ``context`` is the conversation to be summarised."""

    gateway: Running
    http: aiohttp.ClientSession
    key: str
    wishes: dict[str, Any] = {}
    context: str = ""

    async def send(self, method: str, path: str, body: object = None, **more: Any) -> str:
        """What is answered, be it good or bad."""
        headers = {"authorization": f"Bearer {self.key}"}
        url = self.gateway.url + path
        async with self.http.request(method, url, json=body, headers=headers, **more) as answer:
            return await answer.text()

    async def get(self, method: str, path: str, body: object = None, **more: Any) -> Any:
        """The JSON that is answered."""
        return json.loads(await self.send(method, path, body, **more))

    def asking(self, path: str, body: dict[str, Any]) -> Ask:
        """Ask so, with the wishes."""
        return partial(self.send, "POST", path, {**body, "polyvox": self.wishes})


class Spoken(msgspec.Struct, frozen=True):
    """How a dialect is asked over HTTP."""

    path: str
    body: dict[str, Any]
    streamed: str = ""

    def __call__(self, model: str, stream: bool) -> tuple[str, dict[str, Any]]:
        path = (self.streamed if stream else self.path) or self.path
        body = {**self.body, **({} if "{" in path else {"model": model})}
        return path.format(model=model), body if self.streamed else {**body, "stream": stream}


_GEMINI = {"contents": [{"role": "user", "parts": [{"text": "Hello."}]}]}
_VERBS = ("generateContent", "streamGenerateContent")

SPOKEN = {
    "chat": Spoken("/v1/chat/completions", {"messages": HELLO, "max_tokens": 60}),
    "responses": Spoken("/v1/responses", {"input": "Hello.", "max_output_tokens": 60}),
    "messages": Spoken("/v1/messages", {"messages": HELLO, "max_tokens": 60}),
    "gemini": Spoken(
        "/v1beta/models/{model}:generateContent",
        _GEMINI,
        "/v1beta/models/{model}:streamGenerateContent",
    ),
    "gemini as its SDK asks": Spoken(
        "/v1/models/{model}:generateContent",
        _GEMINI,
        "/v1/models/{model}:streamGenerateContent?alt=sse",
    ),
    "ollama": Spoken("/api/chat", {"messages": HELLO}),
    "ollama's prompts": Spoken("/api/generate", {"prompt": "Hello."}),
}
_TEXT = {"content": {"parts": [{"text": "Hello."}]}}
VECTORS = {
    "/v1/embeddings": {"input": "Hello."},
    "/api/embed": {"input": "Hello."},
    "/v1beta/models/{model}:embedContent": _TEXT,
    "/v1/models/{model}:embedContent": _TEXT,
    "/v1beta/models/{model}:batchEmbedContents": {"requests": [_TEXT]},
    "/v1/models/{model}:batchEmbedContents": {"requests": [_TEXT]},
}


def doors(
    models: dict[str, Sequence[str]], vectors: str, agent: str, composite: str
) -> dict[str, Door]:
    """All of them by name. ``models`` are those that each dialect asks for."""
    found: dict[str, Door] = {}
    for name, spoken in SPOKEN.items():
        for model in models[name.partition("'")[0].partition(" ")[0]]:
            for stream in (False, True):
                way = "streamed" if stream else "whole"
                found[f"{name}, {model}, {way}"] = partial(_ask, *spoken(model, stream))
    for path, body in VECTORS.items():
        asked = body if "{" in path else {**body, "model": vectors}
        found[path] = partial(_ask, path.format(model=vectors), asked)
    lines = {
        spoken.path: spoken(models["chat"][0], stream=False)[1]
        for name, spoken in SPOKEN.items()
        if name in ("chat", "responses", "messages")
    }
    lines["/v1/embeddings"] = {"input": "Hello.", "model": vectors}
    for path, body in lines.items():
        found[f"/v1/batches of {path}"] = partial(_batch, path, body)
    found["/v1/ws"] = partial(_socket, {"model": models["chat"][0], "messages": "Hello."})
    found["/v1/contexts/{context}/compact"] = partial(_compact, models["chat"][0])
    found["an agent"] = partial(_ask, *SPOKEN["chat"](agent, stream=False))
    found["a composite"] = partial(_ask, *SPOKEN["chat"](composite, stream=True))
    found["/v1/approvals/{id}"] = partial(_approve, agent)
    found["/v1/ws, an approval"] = partial(_approve_over_socket, agent)
    return found


def paths_of(document: dict[str, Any]) -> Iterator[str]:
    """What can be asked to spend something, as the gateway itself tells."""
    for path, item in document["paths"].items():
        if "post" in item and not path.startswith("/admin") and path not in FREE:
            yield path


async def _ask(path: str, body: dict[str, Any], asker: Asker) -> Ask:
    return asker.asking(path, body)


async def _batch(path: str, body: dict[str, Any], asker: Asker) -> Ask:
    line = {"custom_id": "a", "method": "POST", "url": path}
    form = aiohttp.FormData({"purpose": "batch"})
    text = json.dumps({**line, "body": {**body, "polyvox": asker.wishes}})
    form.add_field("file", text.encode(), filename="batch.jsonl")
    file = await asker.get("POST", "/v1/files", data=form)
    wanted = {"input_file_id": file["id"], "endpoint": path, "completion_window": "24h"}

    async def ask() -> str:
        batch = await asker.get("POST", "/v1/batches", wanted)

        async def over() -> Any:
            found = await asker.get("GET", f"/v1/batches/{batch['id']}")
            return found if found["status"] in OVER else None

        batch = await until(over)
        told = batch["output_file_id"] or batch["error_file_id"]
        return await asker.send("GET", f"/v1/files/{told}/content")

    return ask


async def _socket(start: dict[str, Any], asker: Asker) -> Ask:
    said = {"type": "start", "id": "a", "polyvox": asker.wishes, **start}
    return partial(_say, asker, said)


async def _say(asker: Asker, said: dict[str, Any]) -> str:
    """Everything that is told until the call is over."""
    url = asker.gateway.url.replace("http", "ws") + "/v1/ws"
    headers = {"authorization": f"Bearer {asker.key}"}
    heard: list[str] = []
    async with websockets.connect(url, additional_headers=headers) as socket:
        await socket.send(json.dumps(said))
        while not heard or json.loads(heard[-1])["type"] not in ("closed", "error"):
            heard.append(str(await socket.recv()))
    return "\n".join(heard)


async def _compact(model: str, asker: Asker) -> Ask:
    context = asker.context or (await asker.get("POST", "/v1/contexts", {}))["id"]
    long = [{"role": role, "content": WORDS * 20} for role in ("user", "assistant") * 3]
    added = await asker.get("POST", f"/v1/contexts/{context}/messages", {"messages": long})
    assert added["id"] == context
    wishes = {name: wish for name, wish in asker.wishes.items() if name != "context"}
    wanted = {"model": model, "polyvox": wishes}
    return partial(asker.send, "POST", f"/v1/contexts/{context}/compact", wanted)


async def _approve(agent: str, asker: Asker) -> Ask:
    return asker.asking(f"/v1/approvals/{await _waiting(agent, asker)}", {"approve": True})


async def _approve_over_socket(agent: str, asker: Asker) -> Ask:
    run, decision = await _waiting(agent, asker), {"approve": True, "polyvox": asker.wishes}
    return partial(
        _say, asker, {"type": "approve", "id": "a", "approval": run, "decision": decision}
    )


async def _waiting(agent: str, asker: Asker) -> str:
    """A run that waits for an approval before it goes on."""
    told = await (await _ask(*SPOKEN["chat"](agent, stream=False), asker))()
    waiting = (await asker.get("GET", "/v1/approvals"))["data"]
    assert waiting, told
    return waiting[-1]["id"]
