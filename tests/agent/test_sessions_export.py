"""Exports: every text as it was, folded calls, pictures inside, nothing that runs or is fetched."""

import asyncio
from base64 import b64encode
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.agent import (
    AgentEnd,
    AgentEvent,
    ApprovalNeeded,
    HandedOver,
    MessageEnd,
    ToolExecutionEnd,
)
from polyvox.agent.sessions import JsonlSessions
from polyvox.errors import ServerError
from polyvox.messages import File, Image, Text, Thinking, ToolCall, UserMessage, assistant, user
from polyvox.tools.result import ToolResult
from strategies import texts

from .session_rig import answer, append_all, turn, weather_run

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
NASTY = '<script>alert(1)</script> & "quotes" </div>\n\n  ```\nfence\n```\r\n<details>'


class Page(HTMLParser):
    """What a reader would copy off the page, block by block; and all tags with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self._inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if "text" in (dict(attrs).get("class") or "").split():
            self.texts.append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.texts[-1] += data


def exported(events: list[AgentEvent], format: str) -> str:
    async def export(folder: Path) -> str:
        async with JsonlSessions(folder) as sessions:
            await append_all(sessions, "s", events)
            return await sessions.export("s", format)  # type: ignore[arg-type]

    with TemporaryDirectory() as folder:
        return asyncio.run(export(Path(folder)))


def page_of(events: list[AgentEvent]) -> Page:
    return Page(exported(events, "html"))


def test_markdown_shows_a_run_from_top_to_bottom():
    text = exported(weather_run(), "markdown")
    head, _, rest = text.partition("\n\n## User\n\n")
    assert head.startswith("# Is it raining in Oslo?\n\nSession s · forecaster · ")
    assert head.endswith(" · done")
    assert (
        rest
        == """\
Is it raining in Oslo?

## Assistant (one-large)

Let me see.

<details>
<summary>Tool: weather</summary>

```json
{
  "city": "Oslo"
}
```

Result:

```
Sunny in Oslo.
```

</details>

## Assistant (one-large)

No, the sun shines.

---

Cost: $0.003 · 2,000 tokens in, 400 out · turns: 2 · messages: 4
"""
    )


def test_html_shows_the_same_run_and_needs_no_other_file():
    page = page_of(weather_run())
    assert page.texts == [
        "Is it raining in Oslo?",
        "Let me see.",
        '{\n  "city": "Oslo"\n}',
        "Sunny in Oslo.",
        "No, the sun shines.",
    ]
    assert page.open == []
    tags = {tag for tag, _ in page.tags}
    assert {"details", "summary", "style"} <= tags
    assert not tags & {"script", "link", "iframe", "object"}
    assert "Cost: $0.003 · 2,000 tokens in" in exported(weather_run(), "html")
    assert "light dark" in exported(weather_run(), "html")


@pytest.mark.parametrize("format", ["markdown", "html"])
def test_no_text_can_end_what_it_stands_in(format: str):
    call = ToolCall("c", NASTY, {"x": NASTY})
    said = answer(NASTY, call)
    text = exported(
        [MessageEnd(user(NASTY)), *turn(1, said, ToolResult(content=[Text(NASTY)]))], format
    )
    if format == "html":
        page = Page(text)
        assert page.texts.count(NASTY) == 3
        assert "\r" not in text, "a browser would make a line's end of it"
        assert "script" not in {tag for tag, _ in page.tags}
        assert page.open == []
    else:
        assert text.count(f"\n\n{NASTY}\n\n") == 2, "as it was said"
        assert f"\n````\n{NASTY}\n````\n" in text, "the fence is longer than the one inside"
        assert "<summary>Tool: &lt;script&gt;" in text


@given(st.lists(texts, min_size=1, max_size=4))
def test_every_text_is_copied_exactly(said: list[str]):
    events: list[AgentEvent] = [MessageEnd(user(each)) for each in said]
    assert page_of(events).texts == said
    markdown = exported(events, "markdown")
    assert all(f"## User\n\n{each}\n\n" in markdown for each in said)


def test_pictures_are_inside_and_what_is_elsewhere_is_not_fetched():
    url = "https://img.example/cat.png"
    blocks = [
        Image(PNG),
        Image(url=url),
        File(b"%PDF-1.4", name='a"b.pdf'),
        File(id="file-1"),
        File(url="javascript:alert(1)"),
        Image(b"x", media_type='image/png" onload="alert(1)'),
    ]
    events: list[AgentEvent] = [MessageEnd(UserMessage(blocks))]
    inline = f"data:image/png;base64,{b64encode(PNG).decode()}"
    markdown = exported(events, "markdown")
    assert f"![image]({inline})" in markdown
    assert f"Image: {url}" in markdown
    assert 'File: a"b.pdf, application/pdf, 8 bytes' in markdown
    page = page_of(events)
    attributes = [each for _, each in page.tags]
    assert [each["src"] for each in attributes if "src" in each] == [inline]
    links = [each["href"] or "" for each in attributes if "href" in each]
    assert [link.partition(",")[0] for link in links] == [
        "data:application/pdf;base64",
        'data:image/png" onload="alert(1);base64',
    ]
    assert not any("onload" in each for each in attributes)
    assert [each["download"] for each in attributes if "download" in each] == ['a"b.pdf', "file"]


async def test_no_id_makes_a_line_of_its_own(tmp_path: Path):
    async with JsonlSessions(tmp_path) as sessions:
        await append_all(sessions, "a\n\n# b", [])
        fork = await sessions.fork("a\n\n# b", new_id="c\n\n# d")
        text = await sessions.export(fork)
    assert text.startswith("# c # d\n\nSession c # d · forked from a # b · ")


def test_calls_are_shown_with_their_results_or_that_there_is_none():
    done, failed, cut, lost = (
        ToolCall("a", "done"),
        ToolCall("b", "failed"),
        ToolCall("c", "cut", unparsed='{"city": "Os'),
        ToolCall("d", "lost"),
    )
    events: list[AgentEvent] = [
        MessageEnd(assistant(Thinking("Hm."), Thinking(signature="x", redacted=True))),
        MessageEnd(assistant(done, failed, cut, lost)),
        ToolExecutionEnd(done, ToolResult(content=[Text("fine")])),
        ToolExecutionEnd(failed, ToolResult(content=[Text("broken")], is_error=True)),
        ApprovalNeeded(lost, "it is dear"),
    ]
    text = exported(events, "markdown")
    folded = dict(part.partition("</summary>")[::2] for part in text.split("<summary>")[1:])
    assert "Result:\n\n```\nfine\n```" in folded["Tool: done"]
    assert "Error:\n\n```\nbroken\n```" in folded["Tool: failed"]
    assert '{"city": "Os' in folded["Tool: cut"]
    assert "No result." in folded["Tool: lost"]
    assert "> lost needs an approval: it is dear" in text
    assert "(hidden)" in text


def test_the_same_id_in_another_turn_is_another_call():
    call = ToolCall("call-0", "f")
    events = [
        *turn(1, answer(call), ToolResult(content=[Text("first")])),
        *turn(2, answer(call), ToolResult(content=[Text("second")])),
    ]
    text = exported(events, "markdown")
    assert text.index("first") < text.rindex("## Assistant") < text.index("second")


def test_what_else_happened_is_told():
    events: list[AgentEvent] = [
        HandedOver("one", "two"),
        AgentEnd("error", detail="the provider failed", error=ServerError("the provider failed")),
    ]
    for format in ("markdown", "html"):
        text = exported(events, format)
        assert "one handed over to two." in text
        assert "The run ended: error: the provider failed" in text
