"""What a template is, and what is sent and given over HTTP."""

import re
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from polyvox.config.schema import Template
from polyvox.errors import BadRequestError

__all__ = [
    "Comparing",
    "Comparison",
    "FileQuery",
    "Form",
    "ListQuery",
    "NewFile",
    "NewVersion",
    "OfQuery",
    "Part",
    "PromptTemplate",
    "PromptView",
    "Rendered",
    "Rendering",
    "Tagging",
    "VersionView",
    "Which",
    "checked_name",
    "checked_tag",
]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")

Which: TypeAlias = int | str | None
"""A version: its number, a tag, or None for the newest."""

Form: TypeAlias = Literal["markdown", "toml"]


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One message of a template, or what it has become."""

    role: Literal["system", "user", "assistant"]
    text: str


class PromptTemplate(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A template: messages in the language of Jinja, and what goes with them.

    ``component`` says what part of a program it is for, ``model`` who is asked when a call names
    nobody, ``options`` what holds where a call says nothing. ``variables`` is a JSON schema of type
    "object": which there are, what they may be, their defaults. Without one any may be given.
    """

    messages: Annotated[list[Part], Meta(min_length=1, max_length=100)]
    component: str = ""
    description: str = ""
    model: str = ""
    options: Template = Template()
    variables: dict[str, Any] | None = None


class NewVersion(PromptTemplate, frozen=True, kw_only=True):
    """What a template says from now on, with a ``note`` of why, and ``tags`` that it is to have."""

    note: str = ""
    tags: tuple[str, ...] = ()

    @property
    def template(self) -> PromptTemplate:
        """The template alone."""
        return PromptTemplate(
            **{name: getattr(self, name) for name in PromptTemplate.__struct_fields__}
        )


class NewFile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A template as a file holds it, its name included; see ``polyvox templates pull``."""

    text: str
    note: str = ""
    tags: tuple[str, ...] = ()


class PromptView(msgspec.Struct, kw_only=True):
    """A template in short: its ``newest`` version, and which version each tag means."""

    name: str
    organisation: str
    component: str
    description: str
    newest: int
    tags: dict[str, int]
    created: float
    updated: float


class VersionView(msgspec.Struct, kw_only=True):
    """A version, which never changes; its ``tags`` may. ``author`` is the id of a key."""

    name: str
    organisation: str
    number: int
    template: PromptTemplate
    tags: list[str]
    note: str
    author: str
    created: float


class Tagging(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which version a tag is to mean: a number, another tag, by default the newest."""

    version: Which = None


class Rendering(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to render: a version, with these variables."""

    version: Which = None
    variables: dict[str, Any] = {}


class Rendered(msgspec.Struct, kw_only=True):
    """What a version has become."""

    version: int
    messages: list[Part]


class Comparing(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Two versions to compare; with ``variables`` also what becomes of each."""

    before: int | str
    after: Which = None
    variables: dict[str, Any] | None = None


class Comparison(msgspec.Struct, kw_only=True):
    """Two versions as unified differences of their files, and of what they have become."""

    before: int
    after: int
    template: str
    rendering: str | None


class OfQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Whose template is meant; for the administrator, others have their own."""

    organisation: str | None = None


class FileQuery(OfQuery, kw_only=True, forbid_unknown_fields=True):
    """Which version (number or tag; the newest by default), and what kind of file."""

    version: str | None = None
    form: Form = "markdown"


class ListQuery(OfQuery, kw_only=True, forbid_unknown_fields=True):
    """Which templates: the next ``limit`` (1 to 1,000) after the one of this name."""

    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100
    after: str | None = None
    component: str | None = None


def checked_name(name: str) -> str:
    """The name itself. Raises ``BadRequestError`` for what can't be a template's name."""
    if not _NAME.fullmatch(name):
        raise BadRequestError(
            f"{name[:100]!r} can't be a template's name",
            hint="A name has up to 100 letters, digits, '_', '-' and '.', like 'support.reply'.",
        )
    return name


def checked_tag(tag: str) -> str:
    """The tag itself. Raises ``BadRequestError`` for what can't be one, such as a number."""
    if not _NAME.fullmatch(tag) or tag.isdecimal() or tag == "newest":
        raise BadRequestError(
            f"{tag[:100]!r} can't be a tag",
            hint="A tag is a word, like 'production'; 'newest' and numbers mean versions already.",
        )
    return tag
