"""Pictures, sound and documents in every dialect: how they are written, and what is refused where."""

import base64
import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from polyvox.dialects import DIALECTS, Quirks, Target, get_dialect
from polyvox.dialects.media import audio_format
from polyvox.errors import BadRequestError
from polyvox.messages import File, Image, ToolCall, UserBlock, assistant, tool_result, user
from polyvox.providers.rows import load_providers, quirks_for
from polyvox.request import Request

PNG = b"\x89PNG\r\n\x1a\n"
WAV = b"RIFF....WAVEfmt "
WAV_TEXT = base64.b64encode(WAV).decode()
MP3 = b"ID3\x03"
DEAF = ["anthropic-messages", "openai-responses", "ollama"]


def a_target(**quirks: Any) -> Target:
    return Target(
        provider="acme",
        model="gemini-3-pro",
        base_url="https://acme.example",
        quirks=Quirks(**quirks),
    )


def written(dialect: str, *blocks: UserBlock, target: Target | None = None) -> list[Any]:
    """The parts of a user's message, as they go out."""
    request = Request(messages=[user("Hear:", *blocks)])
    body = json.loads(get_dialect(dialect).encode_request(request, target or a_target()).body)
    match dialect:
        case "gemini":
            return body["contents"][0]["parts"][1:]
        case "openai-responses":
            return body["input"][0]["content"][1:]
        case _:
            return body["messages"][0]["content"][1:]


def refusal(dialect: str, request: Request, target: Target | None = None) -> BadRequestError:
    with pytest.raises(BadRequestError) as caught:
        get_dialect(dialect).encode_request(request, target or a_target())
    return caught.value


# Sound


def test_sound_in_the_form_of_openai():
    wav, mp3 = written("openai-chat", File(WAV), File(MP3))
    assert wav == {"type": "input_audio", "input_audio": {"data": WAV_TEXT, "format": "wav"}}
    assert mp3["input_audio"]["format"] == "mp3"
    inline = File(url=f"data:audio/wav;base64,{WAV_TEXT}")
    assert written("openai-chat", inline) == [wav]


def test_sound_in_the_form_of_mistral():
    target = a_target(audio_style="plain")
    here, there = written(
        "openai-chat", File(WAV), File(url="https://a.example/b.mp3"), target=target
    )
    assert here == {"type": "input_audio", "input_audio": WAV_TEXT}
    assert there == {"type": "input_audio", "input_audio": "https://a.example/b.mp3"}


def test_sound_in_the_form_of_gemini():
    assert written("gemini", File(b"fLaC")) == [
        {"inlineData": {"mimeType": "audio/flac", "data": "ZkxhQw=="}}
    ]


def test_sound_in_a_format_that_is_not_taken_is_named_with_those_that_are():
    error = refusal("openai-chat", Request(messages=[user("?", File(b"OggS"))]))
    assert "messages[0].content[1]" in error.text
    assert "wav or mp3, not ogg" in error.text


def test_an_upload_is_no_sound_for_openai():
    upload = File(id="file-1", media_type="audio/mpeg")
    error = refusal("openai-chat", Request(messages=[user(upload)]))
    assert "messages[0].content[0]" in error.text


@pytest.mark.parametrize("dialect", DEAF)
def test_sound_is_refused_where_there_is_no_place_for_it(dialect: str):
    error = refusal(dialect, Request(messages=[user("?", File(WAV))]))
    assert error.text == "messages[0].content[1]: acme/gemini-3-pro takes no sound"
    assert "transcript" in str(error.hint)


@pytest.mark.parametrize(
    ("media_type", "word"),
    [("audio/x-m4a", "m4a"), ("audio/mp3", "mp3"), ("audio/vnd.wave", "wav"), ("audio/x-y", "y")],
)
def test_the_many_names_of_sound(media_type: str, word: str):
    assert audio_format(media_type) == word


# What clients send


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            {"type": "input_audio", "input_audio": {"data": WAV_TEXT, "format": "mp3"}},
            File(WAV, media_type="audio/mpeg"),
        ),
        ({"type": "input_audio", "input_audio": WAV_TEXT}, File(WAV, media_type="audio/wav")),
        (
            {"type": "input_audio", "input_audio": "https://a.example/b.flac"},
            File(url="https://a.example/b.flac", media_type="audio/x-flac"),
        ),
        (
            {"type": "document_url", "document_url": "https://a.example/b", "document_name": "b"},
            File(url="https://a.example/b", name="b"),
        ),
        ({"type": "file", "file_id": "f1"}, File(id="f1")),
    ],
)
def test_sound_and_documents_of_clients_are_read(part: dict[str, Any], block: File):
    message = {"role": "user", "content": [part]}
    body = json.dumps({"model": "m", "messages": [message]}).encode()
    (read,) = get_dialect("openai-chat").decode_request(body).messages
    if block.media_type == "audio/x-flac":  # systems differ in what they call it
        assert isinstance(read.content[0], File)
        assert read.content[0].media_type.startswith("audio/")
    else:
        assert read == user(block)


def test_sound_of_clients_of_responses_is_read():
    part = {"type": "input_audio", "input_audio": {"data": WAV_TEXT, "format": "wav"}}
    body = json.dumps({"model": "m", "input": [{"role": "user", "content": [part]}]}).encode()
    assert get_dialect("openai-responses").decode_request(body).messages == [user(File(WAV))]


def test_what_is_no_base64_is_named():
    part = {"type": "input_audio", "input_audio": {"data": "?", "format": "wav"}}
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": [part]}]}).encode()
    with pytest.raises(BadRequestError, match=r"messages\[0\].content\[0\].input_audio"):
        get_dialect("openai-chat").decode_request(body)


# What the makers' own types say


def test_openais_types_read_what_is_written():
    from openai.types.chat import ChatCompletionContentPartParam
    from openai.types.responses import ResponseInputContentParam

    blocks = (Image(PNG), File(b"%PDF-"), File(b"a", media_type="text/plain"))
    chat = written("openai-chat", File(WAV), *blocks)
    TypeAdapter(list[ChatCompletionContentPartParam]).validate_python(chat, strict=True)
    responses = written("openai-responses", File(url="https://a.example/b.pdf"), *blocks)
    TypeAdapter(list[ResponseInputContentParam]).validate_python(responses, strict=True)


def test_mistrals_types_read_what_is_written():
    from mistralai.client.models import ContentChunk

    target = a_target(audio_style="plain", file_style="document_url", file_urls=True)
    blocks = (File(WAV), File(b"%PDF-", name="a.pdf"), File(id="f"), Image(PNG))
    parts = written("openai-chat", *blocks, target=target)
    read = TypeAdapter(list[ContentChunk]).validate_python(parts)
    kinds = [type(each).__name__ for each in read]
    assert kinds == ["AudioChunk", "DocumentURLChunk", "FileChunk", "ImageURLChunk"]


def test_googles_types_read_what_is_written():
    from google.genai import types

    for part in written("gemini", File(WAV), File(b"a", media_type="text/plain"), Image(PNG)):
        types.Part.model_validate(part)


def test_anthropics_types_read_what_is_written():
    from anthropic.types import ContentBlockParam

    text = File(b"a", media_type="text/plain")
    urls = Image(url="https://a.example/b.png"), File(url="https://a.example/b.pdf")
    parts = written("anthropic-messages", Image(PNG), File(b"%PDF-"), text, *urls)
    TypeAdapter(list[ContentBlockParam]).validate_python(parts)


# Models that see, or read, nothing


@pytest.mark.parametrize("dialect", list(DIALECTS))
@pytest.mark.parametrize(("field", "block"), [("images", Image(PNG)), ("files", File(b"%PDF-"))])
def test_what_a_model_does_not_take_is_refused_by_its_place(
    dialect: str, field: str, block: UserBlock
):
    call = assistant(ToolCall("c1", "look"))
    target = a_target(**{field: False})
    asked = Request(messages=[user("What", block)])
    assert refusal(dialect, asked, target).text.startswith("messages[0].content[1]: ")
    told = Request(messages=[user("?"), call, tool_result("c1", block)])
    error = refusal(dialect, told, target)
    assert error.text.startswith("messages[2].content[0]: ")
    assert error.hint


@pytest.mark.parametrize(
    ("name", "model", "field"),
    [
        ("openai", "gpt-3.5-turbo", "images"),
        ("openai", "gpt-5-mini", "audio"),
        ("groq", "openai/gpt-oss-120b", "images"),
        ("cerebras", "gpt-oss-120b", "images"),
        ("ollama", "gpt-oss:20b", "images"),
        ("moonshot", "kimi-k2-thinking", "images"),
        ("moonshot", "kimi-k3", "image_urls"),
        ("zai", "glm-4.6", "images"),
        ("llama-cpp", "any", "files"),
    ],
)
def test_rows_say_what_models_do_not_take(name: str, model: str, field: str):
    assert not getattr(quirks_for(load_providers()[name], model), field)


@pytest.mark.parametrize(
    ("name", "model", "field"),
    [
        ("openai", "gpt-4-turbo", "images"),
        ("openai", "gpt-audio-1.5", "audio"),
        ("moonshot", "moonshot-v1-8k-vision-preview", "images"),
        ("zai", "glm-4.5v", "images"),
        ("deepseek", "deepseek-flash", "images"),
    ],
)
def test_rows_do_not_shut_out_models_that_see_or_hear(name: str, model: str, field: str):
    assert getattr(quirks_for(load_providers()[name], model), field)


# What an assistant drew


@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_a_picture_of_the_assistants_is_carried_or_its_loss_is_told(dialect: str):
    drawn = assistant("Here:", Image(PNG, producer="acme/painter"))
    request = Request(messages=[user("Draw."), drawn, user("Nice.")])
    http = get_dialect(dialect).encode_request(request, a_target())
    carried = base64.b64encode(PNG).decode().encode() in http.body
    told = [field for field, _ in http.dropped if field.startswith("messages[1]")]
    assert carried or told
