"""The ``polyvox`` command: its commands, loaded when they are run, and how it ends."""

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper

import click

from polyvox.cli import exit_codes
from polyvox.cli.options import InputError, debug_option, debugging
from polyvox.cli.terminal import forget_output, report_error, say_error
from polyvox.cli.version import VERSION
from polyvox.errors import PolyvoxError
from polyvox.suggestions import hint_for

__all__ = ["COMMANDS", "application", "run"]

COMMANDS = {
    "agent": "Run agents: models with tools.",
    "ask": "Ask a model once.",
    "batch": "Have a file of requests answered by a gateway, in the background.",
    "budget": "See what is left of your budgets at a gateway.",
    "calls": "Find the calls of a gateway: those that failed, and why.",
    "chat": "Talk with a model.",
    "completion": "Print the script that completes commands in your shell.",
    "composite": "See which composites there are, and what one will do.",
    "config": "Check, show or begin the configuration file.",
    "contexts": "Find, read, fork, shorten and delete a gateway's conversations.",
    "doctor": "See what is set up, what is reachable and what is missing.",
    "embed": "Turn texts into vectors.",
    "eval": "Compare models on cases of your own.",
    "keys": "Make, find, change, replace and revoke the keys of a gateway.",
    "log": "Look back at calls: find, read, add up, ask again.",
    "mock": "Serve a provider's API from a script, for tests.",
    "models": "Find models: prices, limits, keys.",
    "organisations": "Make, find, change and delete whom the keys of a gateway belong to.",
    "serve": "Serve every model behind one address: the gateway.",
    "teams": "Make, find, change and delete the parts of organisations at a gateway.",
    "templates": "Keep prompts at a gateway, in versions, to be used by name.",
    "tool": "Run functions as commands; see what models are told of them.",
    "trace": "See what calls were made of: who was asked, when, for how much.",
    "usage": "See what was used through a gateway, and what it cost.",
    "users": "Limit and block the end users of organisations at a gateway.",
}
"""Every command with its line in ``polyvox --help``; it lives in the module of its name."""


class LazyGroup(click.Group):
    """Imports a command's module when that command is run, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, without importing anything."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"polyvox.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown command names the nearest known one."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            hint = hint_for(name, COMMANDS, f"Try: polyvox ask {name!r}")
            raise InputError(f"there is no command {name!r}", hint)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; its code for the process is what it returns, or what its error means."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            forget_output(1)
            return exit_codes.READER_GONE
        except PolyvoxError as error:
            if debugging(ctx):
                traceback.print_exc()
            report_error(error)
            return exit_codes.exit_code(error)
        return result

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in ``--help``, from the table above."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"\b\nExit codes:\n{exit_codes.table()}",
)
@click.version_option(VERSION, "-V", "--version", message="polyvox %(version)s")
@debug_option
@click.pass_context
def application(ctx: click.Context) -> None:
    """Ask any language model.

    \b
      polyvox ask "Why is the sky blue?"
      git diff | polyvox ask "Write a commit message for this."
      polyvox chat -m anthropic/claude-sonnet-4-5

    A model is named provider/model, such as openai/gpt-5-mini. Keys are read from the providers'
    own environment variables; 'polyvox doctor' shows which are there.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and say with which code the process should end."""
    args = sys.argv[1:] if arguments is None else list(arguments)
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what the terminal's encoding lacks becomes "?"
            stream.reconfigure(errors="replace")
    try:
        result: object = application.main(args, prog_name="polyvox", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:  # its text is the help, not an error's
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        say_error(_plain(error.format_message()), _hint(error))
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return exit_codes.INTERRUPTED
    except OSError as error:
        # A file's errors have its name, and a network's are errors of ours: this one is the output's.
        if error.filename is not None:
            raise
        forget_output(1)
        say_error(f"can't write to stdout: {error.strerror}")
        return exit_codes.FAILED
    return result if isinstance(result, int) else 0


def _open_what_is_closed() -> None:
    """A stream that whoever started us has closed is an empty one: else some file would get its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def _plain(text: str) -> str:
    """What click says, written as our own errors are: a phrase, not a sentence.

    >>> _plain("No such option: --modle")
    'no such option: --modle'
    """
    phrase = text.strip().removesuffix(".")
    return phrase if phrase[1:2].isupper() else phrase[:1].lower() + phrase[1:]


def _hint(error: click.ClickException) -> str:
    """What to do: what our own errors say, or where the options stand."""
    if isinstance(error, InputError):
        return error.hint
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"'{context.command_path} --help' lists the options." if context else ""
