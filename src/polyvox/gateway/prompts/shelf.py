"""All templates as they stand in memory: found by name, version and tag, without waiting."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from polyvox.errors import NotFoundError
from polyvox.gateway.prompts.shapes import PromptTemplate, PromptView, VersionView, Which
from polyvox.suggestions import hint_for

__all__ = ["Kept", "Shelf", "Version"]

_TEMPLATE = msgspec.json.Decoder(PromptTemplate)


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """What a template says from this number on."""

    number: int
    template: PromptTemplate
    note: str
    author: str
    created: float


class Kept(msgspec.Struct, kw_only=True):
    """A template with its versions, by number, and its tags."""

    name: str
    organisation: str
    created: float
    updated: float
    versions: dict[int, Version] = {}
    tags: dict[str, int] = {}

    @property
    def newest(self) -> int:
        """The number of the newest version."""
        return max(self.versions)

    def number(self, which: Which) -> int:
        """The number of the version that is meant. Raises ``NotFoundError``."""
        if which is None or which == "newest":
            return self.newest
        if isinstance(which, str) and which.isdecimal() and len(which) < 10:
            which = int(which)
        number = self.tags.get(which) if isinstance(which, str) else which
        if number is None or number not in self.versions:
            what = f"tag {which!r}" if isinstance(which, str) else f"version {which}"
            known = ", ".join([f"1 to {self.newest}", *sorted(self.tags)])
            raise NotFoundError(
                f"the template {self.name!r} has no {what}", hint=f"It has {known}."
            )
        return number

    def version(self, which: Which) -> Version:
        """The version that is meant. Raises ``NotFoundError``."""
        return self.versions[self.number(which)]

    def view(self) -> PromptView:
        """The template in short."""
        newest = self.versions[self.newest]
        return PromptView(
            name=self.name,
            organisation=self.organisation,
            component=newest.template.component,
            description=newest.template.description,
            newest=newest.number,
            tags=dict(sorted(self.tags.items())),
            created=self.created,
            updated=self.updated,
        )

    def version_view(self, which: Which) -> VersionView:
        """A version with all that is known of it."""
        version = self.version(which)
        return VersionView(
            name=self.name,
            organisation=self.organisation,
            number=version.number,
            template=version.template,
            tags=sorted(tag for tag, number in self.tags.items() if number == version.number),
            note=version.note,
            author=version.author,
            created=version.created,
        )


class Shelf:
    """The templates of all organisations, as they were read at one moment."""

    def __init__(
        self, prompts: Iterable[Any], versions: Iterable[Any], tags: Iterable[Any]
    ) -> None:
        self._kept: Mapping[tuple[str, str], Kept] = {
            (row.organisation, row.name): Kept(
                name=row.name,
                organisation=row.organisation,
                created=row.created,
                updated=row.updated,
            )
            for row in prompts
        }
        for row in versions:
            self._kept[row.organisation, row.name].versions[row.number] = Version(
                number=row.number,
                template=_TEMPLATE.decode(row.template),
                note=row.note,
                author=row.author,
                created=row.created,
            )
        for row in tags:
            self._kept[row.organisation, row.name].tags[row.tag] = row.number

    def find(self, organisation: str, name: str) -> Kept:
        """The template of that name. Raises ``NotFoundError``, also for one of somebody else."""
        kept = self._kept.get((organisation, name))
        if kept is None:
            known = [each.name for each in self.of(organisation)]
            raise NotFoundError(
                f"there is no template {name[:100]!r}", hint=hint_for(name[:100], known, "")
            )
        return kept

    def of(self, organisation: str | None) -> Iterator[Kept]:
        """Those of an organisation, or of all."""
        for (owner, _), kept in self._kept.items():
            if organisation is None or owner == organisation:
                yield kept
