"""The client half, inwards: an answer, whole or streamed, as events and a message.

From "Generating content", "Thinking" and "Thought signatures" in the Gemini API documentation. Each
frame of a stream is a ``GenerateContentResponse`` with the next parts. Nothing but the end of the
body ends a stream, and the answer is whole if a finish reason was said by then.
"""

from typing import Any

import msgspec

from polyvox import jsontext
from polyvox.assembly import Assembly
from polyvox.dialects.base import Target
from polyvox.dialects.decoding import AssemblyDecoder
from polyvox.dialects.errors import snippet
from polyvox.dialects.gemini.errors import told_error
from polyvox.dialects.gemini.wire import (
    ABSENT,
    FAILED,
    FINISH_REASONS,
    NAME,
    OPAQUE,
    SIGNATURE,
    Blob,
    Candidate,
    FunctionCall,
    Part,
    PromptFeedback,
    Response,
    UsageFields,
)
from polyvox.dialects.sse import ServerSentEvent
from polyvox.errors import AbortedError, ContentFilterError, PolyvoxError, ProtocolError
from polyvox.events import Done, Event, Failed
from polyvox.messages import AssistantMessage, Image

__all__ = ["GeminiDecoder", "read_response"]

_RESPONSE: msgspec.json.Decoder[Response] = msgspec.json.Decoder(Response)
_USAGE: msgspec.json.Decoder[UsageFields] = msgspec.json.Decoder(UsageFields)

_TEXT, _THOUGHT, _CALL, _OPAQUE = "text", "thought", "call", "opaque"  # keys of open blocks


class GeminiDecoder(AssemblyDecoder):
    """Reads one streamed answer. It never raises: what the provider does wrong becomes an event."""

    def __init__(self, target: Target) -> None:
        super().__init__(Assembly(target.provider, target.model))
        self._usage = UsageFields()
        self._latest = ABSENT  # the usage of the frames that are not counted yet
        self._finish: Candidate | None = None
        self._fed = False
        self._whole = False  # every part is a block: nothing cut them up for sending

    def feed(self, frame: ServerSentEvent) -> list[Event]:
        """The events that this frame completes. After the stream's end: none."""
        assembly = self._assembly
        if assembly.ended:
            return []
        self._fed = True
        try:
            response = jsontext.decode_with(_RESPONSE, frame.data)
        except (msgspec.DecodeError, RecursionError) as error:
            return self._read_other(frame.data, error)
        text = _only_text(response)
        if text and assembly.is_open(_TEXT):
            assembly.append(_TEXT, text)  # nearly all frames are of this kind
            if response.usage_metadata is not ABSENT:
                self._latest = response.usage_metadata
            return assembly.take()
        self._read(response)
        return assembly.take()

    def close(self) -> list[Event]:
        """The body is over: the ending that is still owed."""
        if self._assembly.ended:
            return []
        self._count()
        if self._finish is not None:
            self._end(self._finish)
        elif self._fed:
            self._break("the answer stopped before its finishReason")
        else:
            self._break("the answer is empty")
        return self._assembly.take()

    def fail(self, error: PolyvoxError) -> list[Event]:
        """The body can't be read further. After the finish reason nothing of the answer is lost."""
        if self.ended or self._finish is None or isinstance(error, AbortedError):
            return super().fail(error)
        self._count()
        self._warn(f"broke off after its end: {error.text}; its usage may be missing", "usage")
        self._end(self._finish)
        return self._assembly.take()

    def message(self) -> AssistantMessage:
        """The message as it stands."""
        self._count()
        return super().message()

    def outline(self) -> tuple[AssistantMessage, list[list[str]]]:
        """The same without the texts of its open blocks, and those in pieces."""
        self._count()
        return super().outline()

    def read(self, response: Response) -> list[Event]:
        """The events of a whole answer."""
        self._whole = True
        self._read(response)
        if self._finish is None and not self._assembly.ended:
            self._break("the answer has no candidates with a finishReason")
        return self._assembly.take() + self.close()

    # The steps of an answer, streamed or whole

    def _read(self, response: Response) -> None:
        assembly = self._assembly
        assembly.id = assembly.id or response.response_id or ""
        assembly.response_model = response.model_version or assembly.response_model
        if response.usage_metadata is not ABSENT:
            self._count()
            self._latest = response.usage_metadata
            self._count()
        if response.error is not None:
            self._fail(told_error(response.error))
        elif response.prompt_feedback is not None and response.prompt_feedback.block_reason:
            self._fail(_blocked(response.prompt_feedback))
        else:
            self._read_candidates(response.candidates or [])

    def _read_candidates(self, candidates: list[Candidate]) -> None:
        for candidate in candidates:
            if candidate.index:
                self._warn("the provider sent several candidates; only the first is kept")
                continue
            self._assembly.start()
            for part in (candidate.content and candidate.content.parts) or ():
                self._read_part(part)
            if candidate.finish_reason:
                self._finish = candidate

    def _read_part(self, part: Part) -> None:
        if part.function_call is not None:
            self._call(part.function_call, part.thought_signature)
        elif part.inline_data is not None:
            self._show(part.inline_data, part)
        elif part.thought:
            self._think(part.text or "", part.thought_signature)
        elif part.text is not None or part.thought_signature:
            self._say(part.text or "", part.thought_signature)
        else:
            self._keep(part)

    def _say(self, text: str, signature: str | None) -> None:
        if not text and not signature:
            return
        self._grow(_TEXT, text)
        if signature:
            self._assembly.annotate(_TEXT, {NAME: {SIGNATURE: signature}})
        if signature or self._whole:
            self._assembly.close(_TEXT)

    def _think(self, text: str, signature: str | None) -> None:
        if not text and not signature:
            return
        self._grow(_THOUGHT, text)
        if signature:
            self._assembly.sign(_THOUGHT, signature)
        if signature or self._whole:
            self._assembly.close(_THOUGHT)

    def _grow(self, key: str, text: str) -> None:
        assembly = self._assembly
        if not assembly.is_open(key):
            assembly.close_all()
            if key == _TEXT:
                assembly.open_text(key)
            else:
                assembly.open_thinking(key)
        if text:
            assembly.append(key, text)

    def _call(self, call: FunctionCall, signature: str | None) -> None:
        assembly = self._assembly
        assembly.close_all()
        assembly.open_tool_call(_CALL, call.id or "", call.name)
        if call.args:
            assembly.append(_CALL, jsontext.encode(call.args).decode())
        if signature:
            assembly.annotate(_CALL, {NAME: {SIGNATURE: signature}})
        assembly.close(_CALL)

    def _show(self, blob: Blob, part: Part) -> None:
        """A picture; of sounds and the like our answers know nothing."""
        if not blob.mime_type.startswith("image/"):
            self._warn(f"a part of type {blob.mime_type!r} was dropped")
            return
        self._assembly.close_all()
        signed = {NAME: {SIGNATURE: part.thought_signature}} if part.thought_signature else None
        producer = self._assembly.producer if signed else None
        image = Image(blob.data, media_type=blob.mime_type, meta=signed, producer=producer)
        self._assembly.show(image)

    def _keep(self, part: Part) -> None:
        """What only the API understands is an empty text that can be sent back."""
        fields: dict[str, Any] = {
            name: value
            for name, field in zip(OPAQUE, part.__struct_fields__[-len(OPAQUE) :], strict=True)
            if (value := getattr(part, field)) is not None
        }
        if not fields:
            self._warn("a part of an unknown kind was dropped")
            return
        kind = ", ".join(fields)
        self._warn(f"a part of kind {kind} is kept, but only its maker can read it")
        self._assembly.close_all()
        self._assembly.open_text(_OPAQUE)
        self._assembly.annotate(_OPAQUE, {NAME: fields})
        self._assembly.close(_OPAQUE)

    # Endings

    def _end(self, finish: Candidate) -> None:
        """The answer is complete, or what came of it is all there will be."""
        word = finish.finish_reason or ""
        if word in FAILED:
            said = f": {finish.finish_message}" if finish.finish_message else ""
            self._assembly.fail(
                FAILED[word](f"the provider ended the answer with {word}{said}", provider_code=word)
            )
            return
        if word not in FINISH_REASONS:
            self._warn(f"unknown finish reason {word!r}", "stop_reason")
        self._assembly.finish(FINISH_REASONS.get(word, "stop"))

    def _count(self) -> None:
        """Usage is cumulative: the last frame's holds, and what it leaves out is as it was before.

        Of frames that bring only text, just the last one's is looked at.
        """
        raw, self._latest = self._latest, ABSENT
        if raw is ABSENT:
            return
        try:
            self._usage = self._usage.updated(_USAGE.decode(raw))
        except msgspec.DecodeError as error:
            self._warn(f"the provider's usage can't be read: {error}", "usage")
        self._assembly.usage = self._usage.inclusive()

    def _read_other(self, data: bytes, error: Exception) -> list[Event]:
        """A frame that is no response: an end mark of some gateway, or something else altogether."""
        if data.strip() not in (b"", b"[DONE]"):
            what = "a frame of an unknown shape" if data.lstrip()[:1] == b"{" else "no JSON"
            self._break(f"the provider sent {what} ({error}): {snippet(data)}")
        return self._assembly.take()

    def _fail(self, error: PolyvoxError) -> None:
        self._count()
        self._assembly.fail(error)


def _only_text(response: Response) -> str | None:
    """The text of a frame that brings nothing else but usage; None for any other."""
    candidates = response.candidates
    if candidates is None or len(candidates) != 1:
        return None
    candidate = candidates[0]
    if candidate.finish_reason or candidate.index or candidate.content is None:
        return None
    parts = candidate.content.parts
    if parts is None or len(parts) != 1 or response.error or response.prompt_feedback:
        return None
    part = parts[0]
    if part.thought or part.thought_signature or part.function_call:
        return None
    return part.text


def _blocked(feedback: PromptFeedback) -> PolyvoxError:
    said = f": {feedback.block_reason_message}" if feedback.block_reason_message else ""
    text = f"the provider's filter stopped the prompt ({feedback.block_reason}){said}"
    return ContentFilterError(text, provider_code=feedback.block_reason)


def read_response(body: bytes, target: Target) -> AssistantMessage:
    """A whole answer. Raises the error that the body tells, or ``ProtocolError``."""
    decoder = GeminiDecoder(target)
    try:
        answer = jsontext.decode_with(_RESPONSE, body)
    except (msgspec.DecodeError, RecursionError) as error:
        what = f"no answer ({error}): {snippet(body)}" if body.strip() else "the answer is empty"
        ending = decoder.fail(ProtocolError(what))
    else:
        ending = decoder.read(answer)
    match ending[-1]:
        case Done(message=message):
            return message
        case Failed(error=error):
            raise error
        case other:
            raise AssertionError(f"an answer can't end with {type(other).__name__}")
