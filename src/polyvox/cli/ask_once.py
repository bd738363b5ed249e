"""What ``polyvox ask`` does once its options are understood."""

import sys
from typing import TYPE_CHECKING, Any

import msgspec

from polyvox import jsontext
from polyvox.cli.answering import Check, Outcome, View, answer, has_usage, remarks, usage_line
from polyvox.cli.call_log import call_log
from polyvox.cli.choose_model import choose_model
from polyvox.cli.configured import configured_client, hint_at_composite, logs_here, provider_of
from polyvox.cli.request_options import CUSTOM, RequestOptions, custom_provider, settings_of
from polyvox.cli.terminal import is_terminal, note, warn
from polyvox.cli.trace_tree import print_tree
from polyvox.cli.views import EventsView, JsonView, TextView
from polyvox.client import AsyncClient, make_request, parse
from polyvox.errors import ConfigurationError, MissingKeyError, NotFoundError, PolyvoxError
from polyvox.ledger import Logged
from polyvox.messages import AssistantMessage, Text, UserBlock
from polyvox.model import Model

if TYPE_CHECKING:
    from polyvox.cli.ask import AskOptions

__all__ = ["ask_once", "client_for", "model_name", "model_named"]


async def ask_once(options: "AskOptions", prompt: list[UserBlock]) -> int:
    """Ask, show the answer, and give the exit code. Raises the ``PolyvoxError`` the call ended with."""
    view = _view(options)
    try:
        outcome = await _ask(options, prompt, view)
    except PolyvoxError as error:  # before anything was asked; the answer's own errors are in it
        view.end(AssistantMessage([], "error", error=error.text), error)
        raise
    for remark in remarks(outcome.message):
        warn(remark)
    if _wants_usage(options, outcome):
        note(usage_line(outcome))
    if outcome.message.trace is not None and options.trace and not options.as_json:
        print_tree(outcome.message.trace, sys.stderr)
    if outcome.error is not None:
        raise outcome.error
    return 0


def client_for(options: RequestOptions) -> AsyncClient:
    """A client that knows the configuration, and the server of ``--base-url`` too."""
    return configured_client(options.config, custom_provider(options))


async def model_name(client: AsyncClient, options: RequestOptions, *, quiet: bool) -> str:
    """The model that was named, or the one that is there; says which and why unless ``quiet``."""
    if options.base_url is not None:
        return f"{CUSTOM}/{options.model}" if options.model else await _first_model(client, quiet)
    if options.model:
        return options.model
    if client.setup is not None and client.setup.config.defaults.model:
        return client.setup.config.defaults.model
    choice = await choose_model(client)
    if not quiet:
        note(str(choice))
    return choice.name


def model_named(client: AsyncClient, name: str) -> Model:
    """The model of that name. Raises as ``AsyncClient.model``, with hints for the command line."""
    try:
        model = client.model(name)
    except MissingKeyError as error:
        row = client.registry.rows[error.provider or ""]
        page = f" (made on the page {row.key_page!r})" if row.key_page else ""
        error.hint = (
            f"Set {' or '.join(row.key_env)}{page}. Without a key: -m simulated/echo,"
            " simulated/lorem or simulated/tools; 'polyvox doctor' shows what else is there."
        )
        raise
    except ConfigurationError as error:
        hint_at_composite(client, name, error)
        raise
    if client.target(name).startswith("litellm/"):
        _hush_litellm()
    return model


def _hush_litellm() -> None:
    """Keep LiteLLM's hints off standard output, which is the answer's; in this process we may."""
    from polyvox.providers.litellm import load

    litellm: Any = load()
    litellm.suppress_debug_info = True


async def _ask(options: "AskOptions", prompt: list[UserBlock], view: View) -> Outcome:
    async with client_for(options) as client:
        own_log = logs_here(client, wanted=options.log)
        name = await model_name(client, options, quiet=options.quiet)
        model = model_named(client, name)
        provider = provider_of(client, name) if options.vendor else ""
        request = make_request(list(prompt), settings_of(options, provider))
        request.stream = options.stream
        wanted = request.response_format
        check = _conforming(wanted.schema) if wanted and wanted.schema else None
        with call_log(own_log) as log:
            logged = Logged(model, log)
            return await answer(
                logged,
                request,
                view,
                timeout=options.timeout,
                check=check,
                traced=options.trace and not options.events,
            )


def _conforming(schema: dict[str, Any]) -> Check:
    """Holds an answer to the schema of --schema; what passes is printed as JSON and nothing else."""

    def check(message: AssistantMessage) -> AssistantMessage:
        if message.tool_calls:
            return message
        text = jsontext.encode(parse(message, schema)).decode()
        others = [block for block in message.content if not isinstance(block, Text)]
        return msgspec.structs.replace(message, content=[*others, Text(text)])

    return check


async def _first_model(client: AsyncClient, quiet: bool) -> str:
    names = await client.models(CUSTOM)
    if not names:
        raise NotFoundError("the server lists no models", hint="Name one with -m.")
    if not quiet:
        note(f"Using {names[0].partition('/')[2]}: the first model that the server lists.")
    return names[0]


def _view(options: "AskOptions") -> View:
    if options.as_json:
        return JsonView()
    if options.events:
        return EventsView()
    return TextView(thinking=options.thinking, whole=not options.stream or bool(options.schema))


def _wants_usage(options: "AskOptions", outcome: Outcome) -> bool:
    if options.usage is not None:
        return options.usage and has_usage(outcome)
    seen = is_terminal(sys.stdout) and is_terminal(sys.stderr) and not options.quiet
    return seen and outcome.message.usage.total_tokens > 0
