"""Templates over HTTP."""

from msgspec.structs import replace
from starlette.responses import PlainTextResponse, Response

from polyvox.errors import PermissionDeniedError
from polyvox.gateway.prompts.files import read_file, write_file
from polyvox.gateway.prompts.prompts import Prompts
from polyvox.gateway.prompts.shapes import (
    Comparing,
    Comparison,
    FileQuery,
    ListQuery,
    NewFile,
    NewVersion,
    OfQuery,
    PromptView,
    Rendered,
    Rendering,
    Tagging,
    VersionView,
    Which,
)
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.web.endpoints import Arrived, Endpoint, Page

__all__ = ["prompt_endpoints"]

_ALL = "/v1/prompts"
_ONE = f"{_ALL}/{{prompt}}"
_VERSION = f"{_ONE}/versions/{{version}}"
_TAG = f"{_ONE}/tags/{{tag}}"
_WRITE = "prompts"
"""What a key must be good for that may change templates; any key may read and use its organisation's."""


def prompt_endpoints(prompts: Prompts) -> tuple[Endpoint, ...]:
    """What can be asked about templates."""
    http = _Http(prompts)
    return (
        Endpoint(
            "GET", _ALL, "List templates.", http.list,
            query=ListQuery, gives=Page[PromptView],
        ),
        Endpoint(
            "POST", _ALL, "Take a template from the text of its file.", http.push_file,
            use=_WRITE, takes=NewFile, query=OfQuery, gives=VersionView, status=201,
        ),
        Endpoint(
            "GET", _ONE, "Show a template in short.", http.get,
            query=OfQuery, gives=PromptView,
        ),
        Endpoint(
            "DELETE", _ONE, "Delete a template with all its versions.", http.delete,
            use=_WRITE, query=OfQuery,
        ),
        Endpoint(
            "GET", f"{_ONE}/versions", "List a template's versions, the newest first.", http.versions,
            query=OfQuery, gives=Page[VersionView],
        ),
        Endpoint(
            "POST", f"{_ONE}/versions", "Write a new version.", http.push,
            use=_WRITE, takes=NewVersion, query=OfQuery, gives=VersionView, status=201,
        ),
        Endpoint(
            "GET", _VERSION, "Show a version, by number, tag or 'newest'.", http.version,
            query=OfQuery, gives=VersionView,
        ),
        Endpoint(
            "PUT", _TAG, "Let a tag mean a version.", http.tag,
            use=_WRITE, takes=Tagging, query=OfQuery, gives=PromptView,
        ),
        Endpoint("DELETE", _TAG, "Take a tag away.", http.untag, use=_WRITE, query=OfQuery),
        Endpoint(
            "POST", f"{_ONE}/render", "See what a version becomes.", http.render,
            takes=Rendering, query=OfQuery, gives=Rendered,
        ),
        Endpoint(
            "POST", f"{_ONE}/compare", "Compare two versions.", http.compare,
            takes=Comparing, query=OfQuery, gives=Comparison,
        ),
        Endpoint(
            "GET", f"{_ONE}/file", "Get a version as a file.", http.file,
            query=FileQuery, writes=("application/toml", "text/markdown"),
        ),
    )  # fmt: skip


class _Http:
    """The handlers."""

    def __init__(self, prompts: Prompts) -> None:
        self._prompts = prompts

    async def list(self, arrived: Arrived) -> Page[PromptView]:
        _acting(arrived)
        return self._prompts.listed(arrived.access, arrived.query)

    async def push_file(self, arrived: Arrived) -> VersionView:
        new: NewFile = arrived.body
        name, template = read_file(new.text)
        return await self._prompts.push(
            _acting(arrived), name, template, note=new.note, tags=new.tags
        )

    async def get(self, arrived: Arrived) -> PromptView:
        return self._prompts.get(*await self._known(arrived))

    async def delete(self, arrived: Arrived) -> None:
        await self._prompts.delete(_acting(arrived), arrived.named("prompt"))

    async def versions(self, arrived: Arrived) -> Page[VersionView]:
        return self._prompts.versions(*await self._known(arrived))

    async def push(self, arrived: Arrived) -> VersionView:
        new: NewVersion = arrived.body
        return await self._prompts.push(
            _acting(arrived), arrived.named("prompt"), new.template, note=new.note, tags=new.tags
        )

    async def version(self, arrived: Arrived) -> VersionView:
        which = arrived.named("version")
        return self._prompts.version(*await self._known(arrived, which), which)

    async def tag(self, arrived: Arrived) -> PromptView:
        wanted: Tagging = arrived.body
        return await self._prompts.tag(
            _acting(arrived), arrived.named("prompt"), arrived.named("tag"), wanted.version
        )

    async def untag(self, arrived: Arrived) -> None:
        await self._prompts.untag(_acting(arrived), arrived.named("prompt"), arrived.named("tag"))

    async def render(self, arrived: Arrived) -> Rendered:
        wanted: Rendering = arrived.body
        return self._prompts.render(*await self._known(arrived, wanted.version), wanted)

    async def compare(self, arrived: Arrived) -> Comparison:
        wanted: Comparing = arrived.body
        return self._prompts.compare(*await self._known(arrived, wanted.after), wanted)

    async def file(self, arrived: Arrived) -> Response:
        query: FileQuery = arrived.query
        known = await self._known(arrived, query.version)
        found = self._prompts.version(*known, query.version)
        text = write_file(found.name, found.template, query.form)
        kind = "text/markdown" if text.startswith("+++") else "application/toml"
        return PlainTextResponse(text, media_type=kind)

    async def _known(self, arrived: Arrived, which: Which = None) -> tuple[Access, str]:
        """Whose template is meant, and its name; it is known here, also if another process pushed it."""
        access, name = _acting(arrived), arrived.named("prompt")
        await self._prompts.look_for(access, name, which)
        return access, name


def _acting(arrived: Arrived) -> Access:
    """The access, of the administrator that of the organisation that is meant."""
    query: OfQuery = arrived.query
    access = arrived.access
    if query.organisation is None or query.organisation == access.organisation:
        return access
    if not access.admin:
        raise PermissionDeniedError("organisation: only the administrator may name another one")
    return replace(access, organisation=query.organisation)
