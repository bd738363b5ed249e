"""Items and blocks: how what a model said is told as items, and what of an item a block keeps.

An item says more than our vocabulary does: its id, a message's ``phase``, citations. That is kept in
the block's ``meta`` under ``NAME``, and goes back to whoever made it. An item that is none of a
message, a function call or reasoning (a web search, say) is kept whole, in an empty text block.

Encrypted reasoning is a block's ``signature``; a block is ``redacted`` when no summary came with it.
"""

import re
import uuid
from typing import Any

from polyvox.assembly import arguments_text
from polyvox.dialects.openai_responses.wire import Json, objects, text_of
from polyvox.messages import Text, Thinking, ToolCall

NAME = "openai-responses"

BETWEEN_PARTS = "\n\n"
"""Stands in a block's text between the parts of a summary."""

_OWN_OF_CALL = frozenset({"type", "call_id", "name", "arguments", "status"})
_OWN_OF_REASONING = frozenset({"type", "encrypted_content", "status"})
_ANOTHER_ID = re.compile(r"(rs_[^:]*):(.*)", re.DOTALL)


def new_id(prefix: str) -> str:
    """An id for an item or an answer that has none."""
    return f"{prefix}_{uuid.uuid4().hex}"


def extras(block: Text | Thinking | ToolCall) -> Json:
    """What the block keeps of its item beyond our vocabulary."""
    return (block.meta or {}).get(NAME, {})


def opaque_item(block: Text | Thinking | ToolCall) -> Json | None:
    """The item that this block keeps whole, if it does."""
    return extras(block).get("item") if isinstance(block, Text) else None


# Messages


def message_extras(item: Json, part: Json) -> Json:
    """What the text of a message's part keeps."""
    kept = {key: item[key] for key in ("id", "phase") if item.get(key)}
    if part.get("annotations"):
        kept["annotations"] = part["annotations"]
    if part.get("type") == "refusal":
        kept["refusal"] = True
    return kept


def part_of(text: Text, *, refused: bool = False) -> Json:
    """The part of a message that holds this text."""
    kept = extras(text)
    if refused or kept.get("refusal"):
        return {"type": "refusal", "refusal": text.text}
    return text_part(text.text, kept.get("annotations", []))


def text_part(text: str, annotations: list[Any] | None = None) -> Json:
    """A part of a message."""
    return {
        "type": "output_text",
        "text": text,
        "annotations": annotations or [],
        "logprobs": [],
    }


def message_item(id: str, parts: list[Json], phase: str | None, status: str = "completed") -> Json:
    """A message of the assistant."""
    item: Json = {"type": "message", "id": id, "role": "assistant", "status": status}
    if phase:
        item["phase"] = phase
    return {**item, "content": parts}


# Function calls


def call_extras(item: Json) -> Json:
    """What a call keeps."""
    return {k: v for k, v in item.items() if k not in _OWN_OF_CALL and v is not None}


def call_item(call: ToolCall) -> Json:
    """A function call, with all its arguments, be they whole or not."""
    return {
        "type": "function_call",
        **extras(call),
        "call_id": call.id,
        "name": call.name,
        "arguments": arguments_text(call),
        "status": "completed" if call.executable else "incomplete",
    }


# Reasoning


def reasoning_extras(item: Json) -> Json:
    """What a block of reasoning keeps: what of its item does not follow from its text."""
    kept = {k: v for k, v in item.items() if k not in _OWN_OF_REASONING and v is not None}
    if not kept.get("content"):
        kept.pop("content", None)
    if len(objects(kept.get("summary"))) < (1 if "content" in kept else 2):
        kept.pop("summary", None)
    return kept


def reasoning_text(item: Json) -> str:
    """What can be read of the reasoning: its summary, and where it is shown the thing itself."""
    parts = [*objects(item.get("summary")), *objects(item.get("content"))]
    return BETWEEN_PARTS.join(text_of(part, "text") for part in parts)


def is_hidden(item: Json) -> bool:
    """Whether the item holds reasoning that only its maker can read."""
    return bool(item.get("encrypted_content")) and not (item.get("summary") or item.get("content"))


def reasoning_item(thought: Thinking, *, id: str | None = None) -> Json:
    """An item of reasoning.

    With ``id`` it goes out under that one. As encrypted reasoning is bound to the id that it was
    made under, this is then put before it; ``with_true_id`` finds it there.
    """
    kept = extras(thought)
    summary = [] if thought.redacted or "content" in kept else [_summary_part(thought.text)]
    if not thought.text and not thought.signature:
        summary = []
    item: Json = {"type": "reasoning", "summary": summary, **kept}
    if thought.signature:
        item["encrypted_content"] = thought.signature
    if id is not None:
        true_id = item.get("id")
        item["id"] = id
        if true_id and true_id != id and thought.signature:
            item["encrypted_content"] = f"{true_id}:{thought.signature}"
    return item


def with_true_id(item: Json) -> Json:
    """The item of reasoning, under the id that its encrypted content is bound to."""
    hidden = item.get("encrypted_content")
    match = _ANOTHER_ID.fullmatch(hidden) if isinstance(hidden, str) else None
    return {**item, "id": match[1], "encrypted_content": match[2]} if match else item


def _summary_part(text: str) -> Json:
    return {"type": "summary_text", "text": text}
