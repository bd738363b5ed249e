"""``polyvox completion``: the script that completes commands, options and models in a shell."""

import click

from polyvox.cli.options import debug_option

__all__ = ["command"]

_USE = {
    "bash": 'eval "$(polyvox completion bash)"        # in ~/.bashrc',
    "zsh": 'eval "$(polyvox completion zsh)"         # in ~/.zshrc, after compinit',
    "fish": "polyvox completion fish > ~/.config/fish/completions/polyvox.fish",
}


@click.command(
    "completion",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nTo use it:\n" + "\n".join(f"  {line}" for line in _USE.values()),
)
@click.argument("shell", type=click.Choice(sorted(_USE)))
@debug_option
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes polyvox in your shell: commands, options, models."""
    from click.shell_completion import get_completion_class

    completer = get_completion_class(shell)
    if completer is None:
        raise click.ClickException(f"click has no completion for {shell}")
    root = ctx.find_root().command
    click.echo(completer(root, {}, "polyvox", "_POLYVOX_COMPLETE").source())
