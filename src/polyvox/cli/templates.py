"""``polyvox templates``: the prompt templates of a running gateway."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from polyvox.cli.gateway_options import GatewayOptions, gateway_options
from polyvox.cli.options import gathered, output_option

__all__ = [
    "DiffOptions",
    "ListOptions",
    "OneOptions",
    "PullOptions",
    "PushOptions",
    "RenderOptions",
    "TagOptions",
    "TemplateOptions",
    "command",
]

_T = TypeVar("_T")
_HELP = {"help_option_names": ["-h", "--help"]}


class TemplateOptions(GatewayOptions, kw_only=True):
    """What every command about templates was told."""

    organisation: str | None


class ListOptions(TemplateOptions, kw_only=True):
    """Everything ``polyvox templates list`` was told on its command line."""

    component: str | None


class OneOptions(TemplateOptions, kw_only=True):
    """Which template is meant: "support", "support@3" or "support@production"."""

    template: str


class PushOptions(TemplateOptions, kw_only=True):
    """Everything ``polyvox templates push`` was told on its command line."""

    files: tuple[Path, ...]
    note: str
    tags: tuple[str, ...]


class PullOptions(OneOptions, kw_only=True):
    """Everything ``polyvox templates pull`` was told on its command line."""

    form: str
    output: Path | None


class RenderOptions(OneOptions, kw_only=True):
    """Everything ``polyvox templates render`` was told on its command line."""

    variables: tuple[str, ...]


class DiffOptions(OneOptions, kw_only=True):
    """Everything ``polyvox templates diff`` was told on its command line."""

    before: str
    after: str | None
    variables: tuple[str, ...]


class TagOptions(OneOptions, kw_only=True):
    """Everything ``polyvox templates tag`` was told on its command line."""

    tag: str
    remove: bool


def _run(doing: Coroutine[Any, Any, _T]) -> _T:
    import asyncio

    return asyncio.run(doing)


def complete_template(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """The names of templates that begin so; none where no gateway answers."""
    from polyvox.cli.gateway_templates import names

    return [name for name in _run(names(ctx.params)) if name.startswith(incomplete)]


_template = click.argument("template", metavar="NAME[@VERSION]", shell_complete=complete_template)
_variables = click.option(
    "--var",
    "variables",
    metavar="NAME=VALUE",
    multiple=True,
    help="A variable; NAME:=VALUE takes JSON. May be repeated.",
)


def _options(command: Callable[..., object]) -> Callable[..., object]:
    return click.option(
        "--organisation", metavar="NAME", help="Whose, with the administrator's key."
    )(gateway_options(command))


@click.group("templates", context_settings=_HELP)
def command() -> None:
    """Keep prompts at a gateway, in versions, for any call to use by name.

    They ask a gateway that runs ('polyvox serve'). A version is a number, a tag or 'newest'.

    \b
      export POLYVOX_GATEWAY_KEY=...
      polyvox templates push support.md --note "Shorter." --tag staging
      polyvox templates render support --var question="Where is my parcel?"
      polyvox templates diff support production newest
      polyvox templates tag support@newest production
    """


@command.command("list", context_settings=_HELP)
@click.option("--component", metavar="NAME", help="Only those for this part of a program.")
@_options
@gathered(ListOptions)
def list_templates(options: ListOptions) -> int:
    """List templates. Ends with 1 if there are none."""
    from polyvox.cli import gateway_templates

    return _run(gateway_templates.show_list(options))


@command.command("show", context_settings=_HELP)
@_template
@_options
@gathered(OneOptions)
def show(options: OneOptions) -> int:
    """Show a template: its versions and tags, and what it says."""
    from polyvox.cli import gateway_templates

    return _run(gateway_templates.show(options))


@command.command("push", context_settings=_HELP)
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
)
@click.option("--note", metavar="TEXT", default="", help="Why it has changed.")
@click.option("--tag", "tags", metavar="TAG", multiple=True, help="Tag it so. May be repeated.")
@_options
@gathered(PushOptions)
def push(options: PushOptions) -> int:
    """Make each FILE a new version; one that says the same as the newest changes nothing.

    A file is Markdown with a head between lines of '+++', or TOML; 'polyvox templates pull' writes both.
    """
    from polyvox.cli import gateway_templates

    return _run(gateway_templates.push(options))


@command.command("pull", context_settings=_HELP)
@_template
@click.option(
    "--format",
    "form",
    type=click.Choice(["markdown", "toml"]),
    default="markdown",
    show_default=True,
)
@output_option
@_options
@gathered(PullOptions)
def pull(options: PullOptions) -> int:
    """Print a template as a file that can be pushed again."""
    from polyvox.cli import gateway_templates

    return _run(gateway_templates.pull(options))


@command.command("render", context_settings=_HELP)
@_template
@_variables
@_options
@gathered(RenderOptions)
def render(options: RenderOptions) -> int:
    """Show what a model would get."""
    from polyvox.cli import gateway_templates

    return _run(gateway_templates.render(options))


@command.command("diff", context_settings=_HELP)
@click.argument("template", metavar="NAME", shell_complete=complete_template)
@click.argument("before")
@click.argument("after", required=False)
@_variables
@_options
@gathered(DiffOptions)
def diff(options: DiffOptions) -> int:
    """Compare two versions; AFTER is the newest by default. Ends with 1 if they differ.

    With variables, what becomes of the two is compared too.
    """
    from polyvox.cli import gateway_templates

    return _run(gateway_templates.diff(options))


@command.command("tag", context_settings=_HELP)
@_template
@click.argument("tag")
@click.option("--remove", is_flag=True, help="Take the tag away.")
@_options
@gathered(TagOptions)
def tag(options: TagOptions) -> int:
    """Let TAG mean this version; else the newest."""
    from polyvox.cli import gateway_templates

    return _run(gateway_templates.tag(options))
