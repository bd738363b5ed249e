"""The templates of all organisations, each seen and used by its own alone."""

import difflib
import time
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from polyvox.config.templated import filled
from polyvox.errors import BadRequestError, NotFoundError, OverloadedError
from polyvox.gateway.asking.wishes import PromptUse
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.glance import Glance
from polyvox.gateway.database.versions import numbers
from polyvox.gateway.prompts import writing
from polyvox.gateway.prompts.files import write_file
from polyvox.gateway.prompts.rendering import Renderer
from polyvox.gateway.prompts.shapes import (
    Comparing,
    Comparison,
    ListQuery,
    Part,
    PromptTemplate,
    PromptView,
    Rendered,
    Rendering,
    VersionView,
    Which,
    checked_name,
    checked_tag,
)
from polyvox.gateway.prompts.shelf import Kept, Shelf, Version
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.web.endpoints import Page, page_of
from polyvox.messages import AssistantMessage, Message, Text, UserMessage
from polyvox.request import Request

__all__ = ["Prompts"]

_MOST_COMPARED = 500_000


class Prompts:
    """Templates by their names, all of them in memory; ``reload`` reads what others have changed.

    Args:
        database: where they are kept.
        clock: seconds since the epoch.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._renderer = Renderer()
        self._shelf: Shelf | None = None
        self._number: int | None = None
        self._glance = Glance(self._catch_up)

    async def reload(self) -> None:
        """Read all templates anew; to be called when the number of ``writing.VERSIONS`` changes."""
        read = await self._database.run(writing.read_all, read_only=True)
        self._number, self._shelf = read

    async def _catch_up(self) -> None:
        """Read them anew if anything has changed."""
        present = await self._database.run(numbers, read_only=True)
        if present.get(writing.VERSIONS, 0) != self._number:
            await self.reload()

    async def look_for(self, access: Access, name: str, which: Which = None) -> None:
        """Have this version known here, if another process has just pushed it.

        Raises ``OverloadedError`` where that takes too long.
        """
        try:
            self._kept(access, name).number(which)
        except NotFoundError:
            await self._glance.look_for((access.organisation, name, which))

    # -------------------------------------------------------------------------------------- calls

    async def apply(self, access: Access, use: PromptUse | str, request: Request) -> Request:
        """``applied``, of a template too that another process has just pushed."""
        use = _use(use)
        await self.look_for(access, use.name, use.version)
        return self.applied(access, use, request)

    def applied(self, access: Access, use: PromptUse | str, request: Request) -> Request:
        """The request with what the template makes of itself before its own instructions and messages.

        A string is a name, or a name with the version that is meant: "support@production". The
        template's model and options hold where the request says nothing.

        Raises ``NotFoundError``, ``BadRequestError`` that names the variable, and ``OverloadedError``
        while the templates have not been read yet.
        """
        use = _use(use)
        version = self._kept(access, use.name).version(use.version)
        parts = self._rendered(use.name, version, use.variables)
        template = version.template
        request = replace(
            request,
            model=request.model or template.model,
            system=[*(Text(each.text) for each in parts if each.role == "system"), *request.system],
            messages=[*_messages(parts), *request.messages],
        )
        return filled(request, template.options)

    # --------------------------------------------------------------------------------- what there is

    def listed(self, access: Access, query: ListQuery) -> Page[PromptView]:
        """The templates that the key may see, by name."""
        whose = query.organisation if access.admin else access.organisation
        kept = sorted(self._read.of(whose), key=lambda each: (each.name, each.organisation))
        views = [
            view
            for view in (each.view() for each in kept)
            if (query.after is None or _cursor(view) > query.after)
            and query.component in (None, view.component)
        ]
        return page_of(views, query.limit, _cursor)

    def get(self, access: Access, name: str) -> PromptView:
        """One of them, in short."""
        return self._kept(access, name).view()

    def versions(self, access: Access, name: str) -> Page[VersionView]:
        """All its versions, the newest first."""
        kept = self._kept(access, name)
        return Page(data=[kept.version_view(each) for each in sorted(kept.versions, reverse=True)])

    def version(self, access: Access, name: str, which: Which = None) -> VersionView:
        """A version, with all that is known of it."""
        return self._kept(access, name).version_view(which)

    def render(self, access: Access, name: str, wanted: Rendering) -> Rendered:
        """What a call would get. Raises ``BadRequestError`` that names the variable."""
        version = self._kept(access, name).version(wanted.version)
        return Rendered(
            version=version.number, messages=self._rendered(name, version, wanted.variables)
        )

    def compare(self, access: Access, name: str, wanted: Comparing) -> Comparison:
        """Two versions as differences; of what they become too, if there are variables."""
        kept = self._kept(access, name)
        before, after = kept.version(wanted.before), kept.version(wanted.after)
        names = [f"{name}@{each.number}" for each in (before, after)]
        rendering = None
        if wanted.variables is not None:
            parts = [self._rendered(name, each, wanted.variables) for each in (before, after)]
            rendering = _difference([_written(each) for each in parts], names)
        files = [write_file(name, each.template) for each in (before, after)]
        return Comparison(
            before=before.number,
            after=after.number,
            template=_difference(files, names),
            rendering=rendering,
        )

    # ------------------------------------------------------------------------------------- changes

    async def push(
        self,
        access: Access,
        name: str,
        template: PromptTemplate,
        *,
        note: str = "",
        tags: Sequence[str] = (),
    ) -> VersionView:
        """A new version, with these tags. What the newest one says already is none."""
        checked_name(name)
        words = [checked_tag(each) for each in tags]
        self._renderer.check(template)
        number = await self._database.run(
            lambda connection: writing.push(
                connection, access, name, template, note=note, tags=words, now=self._clock()
            )
        )
        await self.reload()
        return self.version(access, name, number)

    async def tag(self, access: Access, name: str, word: str, which: Which) -> PromptView:
        """Let a tag mean another version."""
        await self.reload()  # somebody else may just have pushed the version
        checked_tag(word)
        number = self._kept(access, name).number(which)
        await self._database.run(
            lambda connection: writing.tag(connection, access, name, word, number, self._clock())
        )
        await self.reload()
        return self.get(access, name)

    async def untag(self, access: Access, name: str, word: str) -> None:
        """Take a tag away."""
        await self._database.run(
            lambda connection: writing.untag(connection, access, name, word, self._clock())
        )
        await self.reload()

    async def delete(self, access: Access, name: str) -> None:
        """Delete a template with all its versions."""
        await self._database.run(
            lambda connection: writing.remove(connection, access, name, self._clock())
        )
        await self.reload()

    # -------------------------------------------------------------------------------------- inside

    @property
    def _read(self) -> Shelf:
        if self._shelf is None:
            raise OverloadedError(
                "the templates have not been read from the gateway's database yet",
                hint="This is no fault of the request; asking again later may help.",
                status=503,
                retry_after=1.0,
            )
        return self._shelf

    def _kept(self, access: Access, name: str) -> Kept:
        return self._read.find(access.organisation, name)

    def _rendered(self, name: str, version: Version, variables: dict[str, Any]) -> list[Part]:
        try:
            return self._renderer.rendered(version.template, variables)
        except BadRequestError as error:
            where = f"the template {name!r}, version {version.number}"
            raise BadRequestError(f"{where}: {error.text}", hint=error.hint) from None


def _use(said: PromptUse | str) -> PromptUse:
    if not isinstance(said, str):
        return said
    name, _, which = said.partition("@")
    return PromptUse(name, which or None)


def _messages(parts: Sequence[Part]) -> list[Message]:
    return [
        UserMessage([Text(part.text)])
        if part.role == "user"
        else AssistantMessage([Text(part.text)])
        for part in parts
        if part.role != "system"
    ]


def _cursor(view: PromptView) -> str:
    return f"{view.name}~{view.organisation}"


def _written(parts: Sequence[Part]) -> str:
    return "\n".join(f"<!-- {part.role} -->\n\n{part.text}\n" for part in parts)


def _difference(texts: Sequence[str], names: Sequence[str]) -> str:
    """Both texts as a unified difference; too long ones only as different or not."""
    before, after = texts
    if len(before) + len(after) > _MOST_COMPARED:
        return "" if before == after else f"--- {names[0]}\n+++ {names[1]}\n(too long to compare)\n"
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), names[0], names[1], lineterm=""
    )
    return "".join(f"{line}\n" for line in lines)
