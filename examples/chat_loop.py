"""A conversation at the terminal, in as few lines as it takes.

    python examples/chat_loop.py [MODEL]

Without a model it is "simulated/echo". An empty line ends it; Ctrl-C stops an answer.
"""

import signal
import sys

import polyvox
from polyvox.messages import Message


def main() -> None:
    """Ask, print, remember, until there is nothing more to say."""
    model = sys.argv[1] if len(sys.argv) > 1 else "simulated/echo"
    messages: list[Message] = []
    spent = polyvox.ZERO_USAGE
    with polyvox.Client() as client:
        while question := read_line():
            messages.append(polyvox.user(question))
            answer = show_answer(client, model, messages)
            messages.append(answer)
            spent += answer.usage
    print(f"\n{spent.total_tokens} tokens: {spent.cost}")


def read_line() -> str:
    """What was typed; nothing at the end of the input."""
    try:
        return input("> ").strip()
    except EOFError:
        return ""


def show_answer(
    client: polyvox.Client, model: str, messages: list[Message]
) -> polyvox.AssistantMessage:
    """Stream the answer; what came before an interrupt or a failure is kept."""
    interrupt = polyvox.Interrupt()
    before = signal.signal(signal.SIGINT, lambda *_: interrupt.set("stopped by Ctrl-C"))
    try:
        with client.stream(model, messages, interrupt=interrupt) as stream:
            for piece in stream.text():
                print(piece, end="", flush=True)
        print()
        return stream.message
    except polyvox.PolyvoxError as error:
        print(f"\n{error}", file=sys.stderr)
        if error.message is None:
            raise
        return error.message
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    main()
