import msgspec
import pytest

from polyvox.messages import (
    AssistantMessage,
    File,
    Image,
    Message,
    SystemMessage,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
    as_messages,
    assistant,
    dump_messages,
    load_messages,
    replayable,
    sniff_media_type,
    tool_result,
    user,
)

PNG = b"\x89PNG\r\n\x1a\n rest"


@pytest.mark.parametrize(
    "message",
    [
        SystemMessage([Text("Be brief.", cache="long")]),
        user("What is this?", Image(data=PNG), File(id="file-1")),
        AssistantMessage(
            [
                Thinking("hm", "sig", producer="anthropic/claude"),
                Thinking("", "payload", redacted=True),
                Text("Let me see.", meta={"id": "x"}),
                ToolCall("c1", "look", {"n": 2**90, "deep": [{"é": None}]}),
                ToolCall("c2", "look", unparsed='{"n": 1'),
            ],
            stop_reason="tool_calls",
        ),
        ToolMessage("c1", [Text("42"), Image(url="https://example.com/a.png")], is_error=True),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_survives_json(message):
    assert msgspec.json.decode(msgspec.json.encode(message), type=Message) == message


def test_images_know_their_media_type_from_their_bytes():
    assert Image(data=PNG).media_type == "image/png"
    assert Image(data=b"\xff\xd8\xff\xe0").media_type == "image/jpeg"
    assert Image(data=b"RIFF....WEBPVP8 ").media_type == "image/webp"
    assert File(data=b"%PDF-1.7").media_type == "application/pdf"
    assert File(data=b"plain").media_type == "application/octet-stream"


def test_an_image_of_unknown_bytes_asks_for_its_media_type():
    with pytest.raises(ValueError, match="media_type="):
        Image(data=b"????")
    assert Image(data=b"????", media_type="image/avif").media_type == "image/avif"


@pytest.mark.parametrize(
    "make", [Image, File, lambda: Image(PNG, "https://x"), lambda: File(b"x", id="1")]
)
def test_an_image_or_file_has_exactly_one_source(make):
    with pytest.raises(ValueError, match="exactly one"):
        make()


def test_blocks_cannot_be_changed():
    with pytest.raises(AttributeError):
        Text("a").text = "b"


def test_a_prompt_may_be_many_things():
    hello = user("hello")
    assert as_messages("hello") == [hello]
    assert as_messages(Text("hello")) == [hello]
    assert as_messages(hello) == [hello]
    assert as_messages({"role": "user", "content": "hello"}) == [hello]
    assert as_messages(["hello"]) == [hello]
    assert as_messages((hello, assistant("hi"), "bye")) == [hello, assistant("hi"), user("bye")]


def test_strings_and_blocks_side_by_side_are_one_message():
    image = Image(data=PNG)
    assert as_messages(["What is", image, assistant("A cat."), "Sure?"]) == [
        user("What is", image),
        assistant("A cat."),
        user("Sure?"),
    ]


@pytest.mark.parametrize(
    ("prompt", "complaint"),
    [
        ([user("x"), 7], r"messages\[1\] is of type int"),
        (
            {"role": "robot", "content": "x"},
            r"messages\[0\] has the role 'robot'; there are system, user",
        ),
        (
            {"role": "user", "content": [{"type": "smell"}]},
            r"messages\[0\] is no message: .*content",
        ),
    ],
)
def test_what_is_no_message_is_named_with_its_place(prompt, complaint):
    with pytest.raises(ValueError, match=complaint):
        as_messages(prompt)


def test_a_tool_result_belongs_to_its_call():
    call = ToolCall("c1", "weather", {"city": "Oslo"})
    assert tool_result(call, "rain") == ToolMessage("c1", [Text("rain")], tool_name="weather")
    assert tool_result("c1", "no such city", is_error=True).is_error


def test_an_answer_shows_its_parts():
    answer = assistant(Thinking("hm"), "a", ToolCall("1", "f"), "b")
    assert (answer.text, answer.thinking, answer.tool_calls) == ("ab", "hm", [ToolCall("1", "f")])


def test_a_call_with_unparsed_arguments_is_not_executable():
    assert ToolCall("1", "f").executable
    assert not ToolCall("1", "f", unparsed="").executable


class TestReplay:
    signed = Thinking("hm", "sig", producer="anthropic/claude")

    def test_to_its_producer_a_block_goes_unchanged(self):
        assert replayable(self.signed, "anthropic/claude") is self.signed

    def test_what_names_no_producer_is_the_users_own_and_goes_unchanged(self):
        own = Thinking("hm", "sig")
        assert replayable(own, "openai/gpt") is own

    def test_to_others_reasoning_is_dropped_or_becomes_text(self):
        assert replayable(self.signed, "openai/gpt") is None
        assert replayable(self.signed, "openai/gpt", thinking_as_text=True) == Text(
            "<think>\nhm\n</think>\n"
        )

    def test_redacted_reasoning_has_nothing_to_turn_into_text(self):
        hidden = Thinking("", "payload", redacted=True, producer="anthropic/claude")
        assert replayable(hidden, "openai/gpt", thinking_as_text=True) is None

    def test_to_others_opaque_data_stays_behind(self):
        call = ToolCall("1", "f", {"a": 1}, meta={"sig": "x"}, producer="gemini/pro")
        assert replayable(call, "openai/gpt") == ToolCall("1", "f", {"a": 1})


def test_messages_are_told_apart_by_role():
    assert [type(m) for m in as_messages(["a", {"role": "assistant", "content": "b"}])] == [
        UserMessage,
        AssistantMessage,
    ]


@pytest.mark.parametrize("build", [user, assistant, lambda part: tool_result("call_1", part)])
def test_a_builder_refuses_at_once_what_is_no_content(build):
    with pytest.raises(TypeError, match=r"not a dict; other values go as text, such as json.dumps"):
        build({"temperature": 4})


@pytest.mark.parametrize("kind", [Image, File])
def test_a_path_is_not_mistaken_for_the_file_itself(kind):
    with pytest.raises(TypeError, match="read_bytes"):
        kind("cat.png")


def test_a_conversation_can_be_kept_and_loaded():
    conversation = [user("Hi", Image(data=PNG)), assistant(ToolCall("1", "f", {"n": 2**90}))]
    assert load_messages(dump_messages(conversation)) == conversation


@pytest.mark.parametrize("data", ["", "[", "{}", '[{"role": "robot"}]'])
def test_what_is_no_conversation_is_said(data):
    with pytest.raises(ValueError, match="this is no conversation"):
        load_messages(data)


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
        (b"ID3\x04", "audio/mpeg"),
        (b"\xff\xfb\x90\x00", "audio/mpeg"),
        (b"\xff\xf1\x50\x80", "audio/aac"),
        (b"OggS\0", "audio/ogg"),
        (b"fLaC\0", "audio/flac"),
        (b"\0\0\0\x20ftypM4A \0", "audio/mp4"),
        (b"\0\0\0\x20ftypisom\0", ""),  # may be a film
        (b"\x1a\x45\xdf\xa3..webm..A_OPUS", "audio/webm"),
        (b"\x1a\x45\xdf\xa3..webm..V_VP9..A_OPUS", ""),
        (b"\xff\xfeh\0i\0", ""),  # text in UTF-16
    ],
)
def test_sound_is_known_by_its_first_bytes(data: bytes, media_type: str):
    assert sniff_media_type(data) == media_type
    assert File(data).media_type == (media_type or "application/octet-stream")


@pytest.mark.parametrize("data", [b"%PDF-1.7", b"OggS"])
def test_what_is_known_to_be_no_picture_is_no_image(data: bytes):
    with pytest.raises(ValueError, match="no PNG, JPEG, GIF or WebP"):
        Image(data)


@pytest.mark.parametrize(
    ("message", "role", "text"),
    [
        (SystemMessage([Text("Be "), Text("brief.")]), "system", "Be brief."),
        (user("What is ", Image(data=PNG), "this?"), "user", "What is this?"),
        (assistant("It is ", Thinking("hm"), "a cat."), "assistant", "It is a cat."),
        (tool_result("c1", File(id="file-1"), "found"), "tool", "found"),
    ],
)
def test_every_message_has_a_role_and_a_text(message: Message, role: str, text: str):
    (read,) = load_messages(dump_messages([message]))
    for each in (message, read):
        assert (each.role, each.text) == (role, text)
