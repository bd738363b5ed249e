"""``polyvox agent``: run agents, and look after their sessions."""

from pathlib import Path
from typing import Any

import click
import msgspec
from click.shell_completion import CompletionItem

from polyvox.cli import exit_codes
from polyvox.cli.options import (
    complete_model,
    config_option,
    debug_option,
    gathered,
    log_option,
    output_option,
    quiet_option,
)

__all__ = ["AgentOptions", "ResumeOptions", "RunOptions", "command"]

_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class AgentOptions(msgspec.Struct, kw_only=True):
    """What ``run`` and ``resume`` were both told; ``agent`` is a file, or "module:agent"."""

    agent: str
    model: str | None
    config: Path | None
    as_json: bool
    thinking: bool
    log: bool
    quiet: bool


class RunOptions(AgentOptions, kw_only=True):
    """Everything ``polyvox agent run`` was told on its command line."""

    prompt: tuple[str, ...]
    files: tuple[Path, ...]
    session: str | None
    continued: bool
    keep: bool


class ResumeOptions(AgentOptions, kw_only=True):
    """Everything ``polyvox agent resume`` was told on its command line."""

    session: str | None
    approve: tuple[str, ...]
    deny: tuple[str, ...]
    edit: tuple[str, ...]


def _complete_agent(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    return [CompletionItem(incomplete, type="file")]


def _complete_session(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    from polyvox.cli.agent_sessions import session_names

    return [name for name in session_names() if name.startswith(incomplete)]


_AGENT = click.argument("agent", shell_complete=_complete_agent)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print every event as a line of JSON.")
_THINKING = click.option(
    "--thinking/--no-thinking", default=True, help="Show the model's reasoning on a terminal, dim."
)
_MODEL = click.option(
    "-m",
    "--model",
    metavar="PROVIDER/MODEL",
    shell_complete=complete_model,
    help="Which model, in place of the agent's own.",
)


@click.group("agent", context_settings=_HELP)
def command() -> None:
    """Run agents: a model with tools, asked again until it is done.

    \b
      polyvox agent run researcher.toml "What are spring tides?"
      polyvox agent sessions list
    """


@command.command(
    "run",
    context_settings=_HELP,
    short_help="Run an agent: a TOML file, module:agent or file.py:agent.",
    epilog=f"\b\nExit codes:\n{exit_codes.table()}",
)
@_AGENT
@click.argument("prompt", nargs=-1)
@_MODEL
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, allow_dash=True),
    help="Put in a text file, or attach a picture or PDF. May be repeated; '-' is stdin.",
)
@click.option(
    "--session",
    metavar="NAME",
    shell_complete=_complete_session,
    help="Keep it in the session of this name, or go on there.",
)
@click.option(
    "-c", "--continue", "continued", is_flag=True, help="Go on in the agent's last session."
)
@click.option("--no-session", "keep", flag_value=False, default=True, help="Keep nothing of it.")
@_JSON
@_THINKING
@config_option
@log_option
@quiet_option
@debug_option
@gathered(RunOptions)
def run(options: RunOptions) -> int:
    """Run an agent from a TOML file, or from module:agent or file.py:agent.

    The prompt is the arguments, then the files, then what comes on stdin; without any, on a
    terminal, it is a conversation. Ctrl-C stops the agent and asks what to say to it; pressed again it
    ends with 130. A call that needs an approval is asked about; where nobody can be asked it ends
    with 16. In a pipe the last answer alone goes to stdout.
    """
    import asyncio

    from polyvox.cli.agent_run import run_agent

    if bool(options.session) + options.continued + (not options.keep) > 1:
        raise click.UsageError("--session, --continue and --no-session exclude each other")
    return asyncio.run(run_agent(options))


@command.command(
    "resume",
    context_settings=_HELP,
    short_help="Go on with a run that waits, was stopped or was broken off.",
)
@_AGENT
@click.argument("session", required=False, shell_complete=_complete_session)
@click.option("--approve", metavar="ID", multiple=True, help="Run this call; 'all': all that wait.")
@click.option("--deny", metavar="ID[=WHY]", multiple=True, help="Don't, and tell the model why.")
@click.option("--edit", metavar="ID=JSON", multiple=True, help="Run it with these arguments.")
@_MODEL
@_JSON
@_THINKING
@config_option
@log_option
@quiet_option
@debug_option
@gathered(ResumeOptions)
def resume(options: ResumeOptions) -> int:
    """Go on with a run that waits for an approval, was stopped, or whose process died.

    Without a SESSION it is the agent's last one. An ID may be cut short, or be the tool's name. Calls
    that have a result are not run again.
    """
    import asyncio

    from polyvox.cli.agent_run import resume_agent

    return asyncio.run(resume_agent(options))


@command.group("sessions", context_settings=_HELP)
def sessions() -> None:
    """Look after what agents have said and done.

    'polyvox agent run' keeps each conversation in a file that only you may read, below
    XDG_STATE_HOME/polyvox/agent-sessions.
    """


@sessions.command("list", context_settings=_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each.")
@debug_option
def list_sessions(as_json: bool) -> int:
    """List sessions, the last one first. Ends with 1 if there are none."""
    from polyvox.cli import agent_sessions

    return agent_sessions.show_list(as_json=as_json)


@sessions.command("show", context_settings=_HELP)
@click.argument("session", shell_complete=_complete_session)
@click.option("--json", "as_json", is_flag=True, help="Print where it stands, as JSON.")
@debug_option
def show(session: str, as_json: bool) -> int:
    """Show a session: all that was said and done."""
    from polyvox.cli import agent_sessions

    return agent_sessions.show(session, as_json=as_json)


@sessions.command("export", context_settings=_HELP)
@click.argument("session", shell_complete=_complete_session)
@click.option(
    "--format",
    "form",
    type=click.Choice(["markdown", "html"]),
    default="markdown",
    show_default=True,
    help="HTML is one page that needs no other file.",
)
@output_option
@debug_option
def export(session: str, form: Any, output: Path | None) -> int:
    """Print a session to be read or shared."""
    from polyvox.cli import agent_sessions

    return agent_sessions.export(session, form, output)


@sessions.command("delete", context_settings=_HELP)
@click.argument("session", shell_complete=_complete_session)
@debug_option
def delete(session: str) -> int:
    """Delete a session."""
    from polyvox.cli import agent_sessions

    return agent_sessions.delete(session)
