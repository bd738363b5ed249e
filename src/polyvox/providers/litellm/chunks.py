"""LiteLLM's chunks, as frames of the openai-chat format, and what of them goes back.

Source: "Streaming" and "Reasoning Content" (``thinking_blocks``) in LiteLLM's documentation. What a
provider wants to see again stays on the block it came with, in ``meta``: thinking blocks with their
signatures among ``reasoning_details``, a tool call's ``provider_specific_fields`` in its
``extra_content``.
"""

from typing import Any, Protocol

from polyvox import jsontext

_OWN = "provider_specific_fields"
_BILLING = frozenset({"openrouter"})
"""Providers whose ``usage.cost`` is their bill; that of all others is LiteLLM's own reckoning."""


class Chunk(Protocol):
    """LiteLLM's ``ModelResponseStream``, as far as it is used here."""

    def model_dump(self, *, exclude_none: bool, warnings: bool) -> dict[str, Any]:
        """The chunk as plain values."""
        ...


class ChunkWriter:
    """Writes the chunks of one answer, in the shape that the openai-chat dialect reads.

    ``provider`` is LiteLLM's name for who answers. ``long_writes`` are the tokens written to the
    long-lived cache, which that shape has no field for.
    """

    def __init__(self, provider: str) -> None:
        self.long_writes = 0
        self._provider = provider
        self._thought = 0

    def write(self, chunk: Chunk, *, finished: bool) -> bytes:
        """The frame. Unless ``finished``, a finish reason is LiteLLM's invention, and is left out."""
        fields = chunk.model_dump(exclude_none=True, warnings=False)
        for choice in fields.get("choices", ()):
            if not finished:
                choice.pop("finish_reason", None)
            self._rewrite(choice.get("delta") or {})
        if "usage" in fields:
            self._rewrite_usage(fields["usage"])
        return jsontext.encode(fields)

    def _rewrite_usage(self, usage: dict[str, Any]) -> None:
        if self._provider not in _BILLING:
            usage.pop("cost", None)
        match usage:
            case {
                "prompt_tokens_details": {
                    "cache_creation_token_details": {"ephemeral_1h_input_tokens": int(tokens)}
                }
            }:
                self.long_writes = tokens
            case _:
                pass

    def _rewrite(self, delta: dict[str, Any]) -> None:
        blocks = delta.pop("thinking_blocks", None)
        if blocks:
            delta["reasoning_details"] = [self._detail(block) for block in blocks]
        for call in delta.get("tool_calls", ()):
            if _OWN in call:
                call["extra_content"] = {_OWN: call.pop(_OWN)}

    def _detail(self, block: dict[str, Any]) -> dict[str, Any]:
        """A piece of a thinking block, numbered so that the dialect can join it; a signature ends one."""
        detail = {"index": self._thought, **block}
        if "thinking" in detail:
            detail["text"] = detail.pop("thinking")
        if "signature" in block or "data" in block:
            self._thought += 1
        return detail


def unwrap_message(message: dict[str, Any]) -> None:
    """Give an assistant's message that is sent back the fields that ``ChunkWriter`` had put elsewhere."""
    details: list[dict[str, Any]] = message.get("reasoning_details", [])
    blocks = [_thinking_block(detail) for detail in details if _is_ours(detail)]
    if blocks:
        message["thinking_blocks"] = blocks
        del message["reasoning_details"]
    for call in message.get("tool_calls", ()):
        call |= call.pop("extra_content", {})


def _is_ours(detail: dict[str, Any]) -> bool:
    return detail.get("type") in ("thinking", "redacted_thinking")


def _thinking_block(detail: dict[str, Any]) -> dict[str, Any]:
    block = {key: value for key, value in detail.items() if key not in ("index", "text")}
    return {**block, "thinking": detail["text"]} if "text" in detail else block
