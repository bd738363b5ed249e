"""``polyvox embed``: texts in, vectors out."""

import sys
from typing import TYPE_CHECKING, Any, get_args

import click

from polyvox.cli.attachments import piped_text
from polyvox.cli.options import InputError, debug_option, gathered, log_option
from polyvox.cli.request_options import (
    CUSTOM,
    RequestOptions,
    call_options,
    custom_provider,
    vendor_fields,
)
from polyvox.embedding import Task

if TYPE_CHECKING:
    from polyvox.embedding import Embeddings

__all__ = ["EmbedOptions", "command"]


class EmbedOptions(RequestOptions, kw_only=True):
    """Everything ``polyvox embed`` was told on its command line."""

    texts: tuple[str, ...]
    dimensions: int | None
    task: Task | None
    as_json: bool
    log: bool


@click.command("embed", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option(
    "-m",
    "--model",
    metavar="PROVIDER/MODEL",
    required=True,
    help="Which model, such as openai/text-embedding-3-small or simulated/embedding.",
)
@click.option("--dimensions", type=click.IntRange(min=1), help="The length of the vectors.")
@click.option("--task", type=click.Choice(get_args(Task)), help="What the vectors are for.")
@call_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, with the usage.")
@log_option
@debug_option
@gathered(EmbedOptions)
def command(options: EmbedOptions) -> int:
    """Turn texts into vectors.

    Every argument is a text; without any, every line that comes on stdin is. Each vector is printed
    as a line of JSON, in the order of the texts.

    \b
      polyvox embed -m simulated/embedding cats dogs
      polyvox embed -m openai/text-embedding-3-small < titles.txt > vectors.jsonl
    """
    import asyncio

    texts = list(options.texts) if options.texts != ("-",) else []
    texts = texts or piped_text().splitlines()
    if not texts:
        raise InputError("there is nothing to embed", "Give a text, or pipe lines of text in.")
    result = asyncio.run(_embed(options, texts))
    _show(result, as_json=options.as_json)
    return 0


async def _embed(options: EmbedOptions, texts: list[str]) -> "Embeddings":
    from polyvox.cli.call_log import call_log
    from polyvox.cli.configured import configured_client, logs_here, provider_of
    from polyvox.layers import layered
    from polyvox.ledger import Logged

    name = f"{CUSTOM}/{options.model}" if options.base_url else options.model or ""
    wishes: dict[str, Any] = {"dimensions": options.dimensions, "task": options.task}
    async with configured_client(options.config, custom_provider(options)) as client:
        own_log = logs_here(client, wanted=options.log)
        embedder = client.embedder(name)
        if options.vendor:
            wishes["options"] = {provider_of(client, name): vendor_fields(options.vendor)}
        given: Any = {key: value for key, value in wishes.items() if value is not None}
        with call_log(own_log) as log:
            logged = layered(embedder, lambda model: Logged(model, log))
            return await client.embed(logged, texts, timeout=options.timeout, **given)


def _show(result: "Embeddings", *, as_json: bool) -> None:
    from polyvox import jsontext
    from polyvox.cli.terminal import warn
    from polyvox.cli.views import usage_as_json

    for field, text in result.dropped:
        warn(f"{field}: {text}")
    lines: list[Any] = list(result.vectors)
    if as_json:
        lines = [
            {
                "vectors": result.vectors,
                "model": f"{result.provider}/{result.model}",
                "response_model": result.response_model or None,
                "usage": usage_as_json(result.usage),
            }
        ]
    for line in lines:
        sys.stdout.write(jsontext.encode(line).decode() + "\n")
