"""From a ``start`` message to what is asked."""

from typing import Any, cast

import msgspec
from msgspec.structs import replace

from polyvox.dialects import Place, get_dialect
from polyvox.errors import BadRequestError
from polyvox.gateway.asking.asking import Asked
from polyvox.gateway.asking.dialects import SPOKEN
from polyvox.gateway.asking.wishes import wishes_in
from polyvox.gateway.live.wire import Start
from polyvox.gateway.tenants.access import Access
from polyvox.messages import Text, as_messages
from polyvox.request import Request
from polyvox.suggestions import hint_for

__all__ = ["asked_of"]

_OURS = ("messages", "model", "system", "stream")
_FIELDS = tuple(name for name in Request.__struct_fields__ if name not in _OURS)


def asked_of(start: Start, access: Access) -> Asked:
    """What is asked. Raises ``BadRequestError``, which names the field."""
    request = _spoken(start) if start.dialect else _plain(start)
    wishes = wishes_in(request.options, start.dialect, {}, request.metadata, start.polyvox)
    request = replace(request, model=start.model or request.model, stream=True)
    return Asked(access=access, request=request, wishes=wishes, dialect=start.dialect)


def _spoken(start: Start) -> Request:
    """The request in a dialect."""
    if start.dialect not in SPOKEN:
        raise BadRequestError(
            f"there is no dialect {start.dialect!r}", hint=hint_for(start.dialect, SPOKEN)
        )
    if start.messages is not None or start.system:
        raise BadRequestError("messages and system stand in the body, where there is a dialect")
    return get_dialect(start.dialect).decode_request(bytes(start.body), Place(start.model, True))


def _plain(start: Start) -> Request:
    """The request in our own words."""
    if start.messages is None:
        raise BadRequestError("messages is missing: there is nothing to ask")
    try:
        said: Any = msgspec.json.decode(start.body) if start.body else {}
        if not isinstance(said, dict):
            raise BadRequestError("body is an object of a request's fields")
        fields = cast("dict[str, Any]", said)
        for name in fields:
            if name not in _FIELDS:
                raise BadRequestError(f"body.{name} means nothing", hint=hint_for(name, _FIELDS))
        request = msgspec.convert({**fields, "messages": []}, Request)
        request.messages = as_messages(start.messages)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadRequestError(f"body: {error}") from None
    except ValueError as error:
        raise BadRequestError(str(error)) from None
    request.system = [Text(start.system)] if start.system else []
    return request
