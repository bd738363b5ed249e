"""Reading the objects of Gemini's requests: protocol buffers in JSON."""

import re
from typing import Any

from polyvox.dialects import fields

__all__ = ["Fields"]

_SNAKE = re.compile(r"_([a-z])")


class Fields(fields.Fields):
    """As ``polyvox.dialects.fields.Fields``, read as protocol buffers are.

    ``systemInstruction`` and ``system_instruction`` are one field, named in camelCase here.
    """

    integers_as_text = True
    one_for_list = True

    def __init__(self, value: Any, place: Any = "") -> None:
        super().__init__(value, place)
        if "_" in "".join(self.rest):
            self.rest = {_camel_case(key): each for key, each in self.rest.items()}


def _camel_case(key: str) -> str:
    return _SNAKE.sub(lambda found: found[1].upper(), key)
