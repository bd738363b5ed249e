"""Facts out of a text, as values of a type: the type makes the schema, and checks what comes back.

python examples/extract_json.py [MODEL ["TEXT"]]
"""

import sys
from datetime import date
from typing import Annotated

import msgspec

import polyvox

MODEL = "simulated/tools"
TEXT = "Please book 3 tickets to Oslo on 2026-05-17, and send them to ada@example.com."


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """What is ordered."""

    city: str
    tickets: Annotated[int, msgspec.Meta(ge=1)]
    day: date
    email: Annotated[str, msgspec.Meta(extra_json_schema={"format": "email"})]


def main() -> int:
    """Ask for an order, check it, print it."""
    model = sys.argv[1] if len(sys.argv) > 1 else MODEL
    text = sys.argv[2] if len(sys.argv) > 2 else TEXT
    try:
        reply = polyvox.ask(
            model,
            text,
            system="Fill in the order that this text asks for.",
            response_format=Order,
            repair=1,
        )
    except polyvox.InvalidAnswerError as error:
        print(f"no order: {error}", file=sys.stderr)
        return 1
    order: Order = reply.parsed
    for name in order.__struct_fields__:
        print(f"{name:<8} {getattr(order, name)}")
    print(f"{reply.usage.total_tokens} tokens: {reply.usage.cost}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
