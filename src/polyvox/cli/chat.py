"""``polyvox chat``: a conversation at the terminal."""

from pathlib import Path

import click

from polyvox.cli.options import debug_option, gathered, log_option, model_option, quiet_option
from polyvox.cli.request_options import RequestOptions, request_options

__all__ = ["ChatOptions", "command"]


class ChatOptions(RequestOptions, kw_only=True):
    """Everything ``polyvox chat`` was told on its command line."""

    continued: Path | None
    log: bool
    quiet: bool


@click.command(
    "chat", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@model_option
@request_options
@click.option(
    "-c",
    "--continue",
    "continued",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Go on with a chat that '/save FILE.json' wrote.",
)
@log_option
@quiet_option
@debug_option
@gathered(ChatOptions)
def command(options: ChatOptions) -> int:
    """Talk with a model.

    Lines that begin with a slash are commands; /help lists them. Enter sends, Alt-Enter begins a
    new line, Ctrl-C stops the answer and keeps what came of it, Ctrl-D leaves. In a pipe every line
    is a message, and the answers are plain text. What you type is remembered, for Up, in
    XDG_STATE_HOME/polyvox/chat-history (~/.local/state/polyvox/chat-history).
    """
    import asyncio

    from polyvox.cli.chat_session import run_chat

    return asyncio.run(run_chat(options))
