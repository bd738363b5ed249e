"""One line to its answer: by the path of every other call, with the rights of its key as they now stand."""

from typing import Any

import msgspec
from msgspec.structs import replace

from polyvox import jsontext
from polyvox.dialects import Dialect, Place, find_route, get_dialect
from polyvox.errors import (
    AuthenticationError,
    OverloadedError,
    PermissionDeniedError,
    PolyvoxError,
    RateLimitError,
    ServerError,
)
from polyvox.gateway.asking.asking import Asked, Asking
from polyvox.gateway.asking.dialects import read_body
from polyvox.gateway.asking.refusals import as_told, status_of
from polyvox.gateway.asking.telling import whole_body
from polyvox.gateway.asking.wishes import wishes_in
from polyvox.gateway.batches.lines import Line
from polyvox.gateway.tenants.access import Access, matches
from polyvox.gateway.tenants.directory import Directory
from polyvox.gateway.web.ids import new_id
from polyvox.request import Request
from polyvox.verbatim import Verbatim

__all__ = ["Answer", "Answering", "may_wait", "unanswered"]

_DIALECTS = {
    "/v1/chat/completions": "openai-chat",
    "/v1/responses": "openai-responses",
    "/v1/embeddings": "openai-chat",
    "/v1/messages": "anthropic-messages",
}


class Answer(msgspec.Struct, frozen=True):
    """What is told of a line, as it stands in the output."""

    told: bytes
    good: bool


class _Response(msgspec.Struct):
    status_code: int
    request_id: str
    body: msgspec.Raw


class _Told(msgspec.Struct):
    """Source: "Batch", "The request output object" in OpenAI's API reference."""

    id: str
    custom_id: str
    response: _Response | None = None
    error: dict[str, str] | None = None


class Answering:
    """Answers lines."""

    def __init__(self, asking: Asking, directory: Directory) -> None:
        self._asking = asking
        self._directory = directory

    async def check_models(
        self, key: str, models: dict[str, int]
    ) -> list[tuple[str, int, PolyvoxError]]:
        """Which of these models this key may not ask, with their lines. Raises ``PolyvoxError``."""
        try:
            access = self._access(key)
        except AuthenticationError:  # another process may just have made it
            await self._directory.look_for_id(key)
            access = self._access(key)
        wrong = list[tuple[str, int, PolyvoxError]]()
        for model, number in models.items():
            try:
                self._asking.models.check(model, access)
            except PolyvoxError as error:
                wrong.append((model, number, error))
        return wrong

    async def answer(self, line: Line, key: str, batch: str) -> Answer:
        """What is told of it, be it an error. Raises errors for which it may wait, and be asked again."""
        dialect = get_dialect(_DIALECTS[line.url])
        call = new_id("call")
        try:
            status, body = 200, await self._body(dialect, line, key, batch, call)
            body = msgspec.json.format(body, indent=-1)
        except PolyvoxError as error:
            if may_wait(error):
                raise
            error = as_told(error)
            status, body = dialect.encode_error(error)
            status = status_of(error, status)
        except msgspec.DecodeError:
            status, body = dialect.encode_error(ServerError("the answer is no JSON", status=502))
        response = _Response(status, call, msgspec.Raw(body))
        told = _Told(new_id("batch_req"), line.custom_id, response)
        return Answer(jsontext.encode(told), good=status == 200)

    def _access(self, key: str) -> Access:
        try:
            return self._directory.of(key)
        except AuthenticationError:
            if not self._directory.is_behind:
                raise
            # Nobody's fault, and over in a moment: the line waits.
            raise OverloadedError("the keys are not read yet", retry_after=1.0) from None

    async def _body(self, dialect: Dialect, line: Line, key: str, batch: str, call: str) -> bytes:
        route = find_route(dialect, "POST", line.url)
        assert route is not None
        kind, place = route[0].kind, route[1]
        access = self._access(key)
        use = "embeddings" if kind == "embed" else "chat"
        if not access.admin and not matches(use, access.routes):
            raise PermissionDeniedError(f"this key may not be used for {use!r}", status=403)
        ask = self._embedded if kind == "embed" else self._answered
        return await ask(dialect, place, bytes(line.body), access, _Of(batch, call))

    async def _answered(
        self, dialect: Dialect, place: Place, body: bytes, access: Access, of: "_Of"
    ) -> bytes:
        request: Request = await read_body(dialect.decode_request, body, place)
        asked = of.asked(access, request, dialect, request.options)
        if dialect.passing is not None:
            asked.verbatim = Verbatim(dialect.name, request, body)
        return whole_body(await self._asking.whole(asked), dialect, asked)

    async def _embedded(
        self, dialect: Dialect, place: Place, body: bytes, access: Access, of: "_Of"
    ) -> bytes:
        codec = dialect.embeddings
        assert codec is not None
        wanted = await read_body(codec.decode_request, body, place)
        request = Request(messages=[], model=wanted.model)
        asked = of.asked(access, request, dialect, wanted.options)
        return codec.encode_response(await self._asking.embed(asked, wanted), wanted, place)


class _Of(msgspec.Struct, frozen=True):
    """Which batch a call is of; its costs are found by the tag."""

    batch: str
    call: str

    def asked(
        self, access: Access, request: Request, dialect: Dialect, options: dict[str, dict[str, Any]]
    ) -> Asked:
        wishes = wishes_in(options, dialect.name, {}, request.metadata)
        wishes = replace(wishes, tags={**wishes.tags, "batch": self.batch})
        return Asked(
            access=access, request=request, wishes=wishes, dialect=dialect.name, id=self.call
        )


def may_wait(error: PolyvoxError) -> bool:
    """Whether the line may be asked later: there is no room just now, and nothing wrong with it."""
    return error.retryable and isinstance(error, RateLimitError | OverloadedError)


def unanswered(custom_id: str, code: str, message: str) -> bytes:
    """What is told of a line that was not answered."""
    error = {"code": code, "message": message}
    return jsontext.encode(_Told(new_id("batch_req"), custom_id, error=error))
