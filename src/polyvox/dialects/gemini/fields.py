"""Reading the objects of Gemini's requests: protocol buffers in JSON."""

import re

from polyvox.dialects import fields

__all__ = ["Fields"]

_SNAKE = re.compile(r"_([a-z])")


class Fields(fields.Fields):
    """As ``polyvox.dialects.fields.Fields``, read as protocol buffers are.

    ``systemInstruction`` and ``system_instruction`` are one field, named in camelCase here.
    """

    integers_as_text = True
    one_for_list = True

    @staticmethod
    def named(key: str) -> str:
        """The camelCase name."""
        return _SNAKE.sub(lambda found: found[1].upper(), key)
