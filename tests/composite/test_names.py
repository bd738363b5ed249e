"""Composites by name, and members by name: what a name stands for, and what is told of a wrong one."""

import re

import pytest

from polyvox import AsyncClient, Client
from polyvox.catalog import Catalog
from polyvox.composite import Council, Member, MixtureOfAgents, Profile, composite_model, explain
from polyvox.composite.names import packaged, profile_of
from polyvox.dialects import DIALECTS, Target, get_dialect
from polyvox.errors import ConfigurationError, MissingKeyError
from polyvox.events import Nested
from polyvox.messages import AssistantMessage, Image, Text, Thinking, replayable, user
from polyvox.providers import ProviderModel
from polyvox.request import Request, ResponseFormat, ToolDefinition
from polyvox.testing import MockProvider

from .cast import Cast
from .speakers import Speaker, ask, reply_of

PICTURE = Image(data=b"\x89PNG", media_type="image/png")
BOARD = Profile(strategy="moa", proposers=("a", "b"), aggregator="c")


# --------------------------------------------------------------------------------- composites


async def test_a_preset_asks_its_model_and_nobody_else():
    cast = Cast()
    reply = await reply_of(composite_model("composite/moa/lab/llama", cast))
    assert cast.asked == {"lab/llama": 4}
    assert (reply.provider, reply.model) == ("composite", "moa/lab/llama")


async def test_a_profile_is_asked_by_its_name():
    cast = Cast({"board": BOARD})
    reply = await reply_of(cast.model("composite/profile/board"))
    assert cast.asked == {"a": 1, "b": 1, "c": 1}
    assert (reply.provider, reply.model) == ("composite", "profile/board")
    assert reply.trace is not None
    assert reply.trace.model == "composite/profile/board"


def test_a_profile_comes_before_the_packaged_one_of_its_name():
    assert profile_of("composite/profile/demo-moa", {"demo-moa": BOARD}) is BOARD
    assert profile_of("composite/profile/demo-moa").aggregator == "simulated/a"


@pytest.mark.parametrize("preset", [*packaged().presets, *packaged().aliases])
async def test_a_preset_makes_the_calls_that_its_name_says(preset: str):
    name, cast = packaged().aliases.get(preset, preset), Cast()
    said = re.search(r"-(\d+)-calls$", name)
    assert said is not None
    await reply_of(cast.model(f"composite/{preset}/m"))
    assert cast.asked == {"m": int(said[1])}
    assert profile_of(f"composite/{preset}/m").about


@pytest.mark.parametrize("name", packaged().profiles)
async def test_packaged_profiles_answer_without_a_key(name: str, forbid_network: None):
    async with AsyncClient() as client:
        reply = await client.complete(f"composite/profile/{name}", "What is 17 * 23?")
    assert reply.text
    assert reply.usage.cost.status == "free"


def test_a_client_of_either_kind_knows_the_names():
    with Client() as client:
        reply = client.complete("composite/council/simulated/a", "What is 2 + 2?")
    assert reply.trace is not None
    assert reply.trace.kind == "council"
    assert {node.label for node in reply.trace.walk() if node.kind == "opinion"} == {
        "simulated/a",
        "simulated/a #2",
        "simulated/a #3",
    }


async def test_composites_nest_by_name():
    cast = Cast()
    await reply_of(cast.model("composite/moa/composite/council/m"))
    assert cast.asked == {"m": 28}


@pytest.mark.parametrize(
    ("name", "text", "hint"),
    [
        ("composite/moa", "'composite/moa' names no model", "composite/moa/provider/model"),
        ("composite/moa/", "'composite/moa/' names no model", "composite/moa/provider/model"),
        ("composite/mao/lab/m", "no composite; did you mean 'moa'?", "composite/PRESET/provider"),
        ("composite/", "is no composite; known are council, council-11-calls", "profile/NAME"),
        ("composite/profile/borad", "no profile 'borad'; did you mean 'board'?", "[profiles.NAME]"),
        ("composite/profile/", "there is no profile ''; known are board, demo", "[profiles.NAME]"),
        ("composite/board", "did you mean 'composite/profile/board'?", "profile/NAME"),
        ("composite/moa/composite/profile/x", "there is no profile 'x'", "[profiles.NAME]"),
    ],
)
def test_a_name_that_means_nothing_is_told_with_the_nearest(name: str, text: str, hint: str):
    for made in (Cast({"board": BOARD}).model, lambda each: explain(each, {"board": BOARD})):
        with pytest.raises(ConfigurationError) as caught:
            made(name)
        assert text in caught.value.text
        assert hint in (caught.value.hint or "")


def test_a_name_can_not_pile_up_composites_without_end():
    name = "composite/moa-13-calls/" * 40 + "m"
    with pytest.raises(ConfigurationError, match="more than 3 composites in one another"):
        Cast().model(name)


async def test_a_composite_whose_model_has_no_provider_or_no_key_is_told_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    async with AsyncClient() as client:
        with pytest.raises(ConfigurationError, match="there is no provider 'opneai'"):
            client.model("composite/moa/opneai/x")
        with pytest.raises(MissingKeyError):
            client.model("composite/moa/openai/gpt-5-mini")


async def test_the_tokens_of_a_prompt_to_a_composite_are_estimated():
    async with AsyncClient() as client:
        count = await client.count_tokens("composite/profile/demo-moa", "hello")
        assert count == await client.count_tokens("simulated/a", "hello")
        assert count.estimated
        assert client.facts("composite/profile/demo-moa") is None


@pytest.mark.parametrize("name", ["composite/moa/m", "composite/council/m"])
async def test_what_a_request_asks_for_reaches_whoever_it_is_for(name: str):
    cast = Cast()
    request = Request(
        messages=[user("What is in it?", PICTURE)],
        tools=[ToolDefinition("weather", "The weather in a city.")],
        response_format=ResponseFormat(),
        stop=["END"],
        options={"lab": {"tier": "flex"}},
    )
    await reply_of(cast.model(name), request)
    *before, last = cast.speakers["m"].requests
    assert len(before) in (3, 6)
    for asked in (*before, last):
        assert any(PICTURE in message.content for message in asked.messages)
        reviewing = "Do not answer it yourself" in asked.messages[-1].text
        assert asked.stop == ([] if reviewing else ["END"])  # that would cut a ranking off
        assert asked.options == {"lab": {"tier": "flex"}}
        assert asked.response_format is not None
    assert last.tools == request.tools
    assert not any(asked.tools for asked in before)


# ------------------------------------------------------------------------------------ members


async def test_members_may_be_named_where_there_is_a_client():
    cast = Cast()
    moa = MixtureOfAgents(["a", Member("b", samples=3)], aggregator="c", client=cast)
    events = await ask(moa)
    assert cast.asked == {"a": 1, "b": 3, "c": 1}
    labels = {event.path[1] for event in events if isinstance(event, Nested)}
    assert labels == {"a", "b", "b #2", "b #3"}


async def test_names_labels_and_models_go_together():
    cast, eve = Cast(), Speaker("eve", "Yes.")
    council = Council(
        [eve, Member("a", label="ann")], reviewers=["r"], chairman=[Member("c")], client=cast
    )
    reply = await reply_of(council)
    assert cast.asked == {"a": 1, "r": 1, "c": 1}
    assert reply.trace is not None
    assert [node.label for node in reply.trace.children[0].children] == ["eve", "ann"]


def test_a_name_without_a_client_says_what_to_give():
    for role, make in (
        ("proposers", lambda: MixtureOfAgents(["openai/gpt-5"], aggregator=Speaker("x", "x"))),
        ("aggregator", lambda: MixtureOfAgents([Speaker("x", "x")], aggregator="openai/gpt-5")),
        ("chairman", lambda: Council([Speaker("x", "x")], chairman=Member("openai/gpt-5"))),
    ):
        with pytest.raises(ConfigurationError, match=f"{role} has the name 'openai/gpt-5'") as told:
            make()
        assert told.value.hint == "Give client=..., or a model: client.model(name)."


def test_a_string_in_place_of_a_list_is_no_list_of_letters():
    with pytest.raises(ConfigurationError, match="proposers is a string; give a list"):
        MixtureOfAgents("abc", aggregator="d", client=Cast())


def test_a_client_for_either_kind_makes_members():
    with Client() as client:
        moa = MixtureOfAgents(["simulated/a"], aggregator="simulated/b", client=client)
        assert client.complete(moa, "What is 2 + 2?").text


# ------------------------------------------------------------------------------ context windows


async def test_the_window_of_a_named_aggregator_is_that_of_the_catalog():
    catalog = Catalog.load({"openai/gpt-5-mini": {"context_window": 777}})
    async with AsyncClient(keys={"openai": "sk-any-0000"}, catalog=catalog) as client:
        by_name = client.model("composite/moa/openai/gpt-5-mini")
        of_one = MixtureOfAgents(
            ["simulated/a"], aggregator=["openai/gpt-5", "openai/gpt-5-mini"], client=client
        )
        said = MixtureOfAgents(
            ["simulated/a"], aggregator="openai/gpt-5-mini", window_tokens=9, client=client
        )
        model = client.model("openai/gpt-5-mini")
    assert isinstance(by_name, MixtureOfAgents)
    assert by_name.window_tokens == 777
    assert of_one.window_tokens == 777
    assert said.window_tokens == 9
    assert MixtureOfAgents([model], aggregator=model).window_tokens is None


@pytest.mark.parametrize(("window", "windows"), [(100_000, 0), (400, 1)])
async def test_a_small_window_makes_windows_of_the_proposals(window: int, windows: int):
    catalog = Catalog.load({"openai/gpt-5-mini": {"context_window": window}})
    async with MockProvider(
        "openai-chat", [{"message": {"content": "word " * 99}, "repeat": True}]
    ) as mock:
        client = AsyncClient(
            base_urls={"openai": mock.url}, keys={"openai": "sk-any-0000"}, catalog=catalog
        )
        async with client:
            reply = await client.complete("composite/moa/openai/gpt-5-mini", "Why?")
    assert len(mock.requests) == 4 + windows
    assert reply.trace is not None
    labels = [node.label for node in reply.trace.children if node.kind == "window"]
    assert len(labels) == windows


# ------------------------------------------------------------------------------------ summaries


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize("producer", ["openai/gpt-5", "composite", "composite/profile/board", ""])
def test_a_summary_is_sent_to_nobody(producer: str, as_text: bool):
    summary = Thinking("Layer 1\n- a: said", producer="composite")
    assert replayable(summary, producer, thinking_as_text=as_text) is None


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_no_dialect_writes_a_summary(dialect: str):
    reply = await reply_of(
        MixtureOfAgents([Speaker("a", "CANARY")], aggregator=Speaker("b", "Air."))
    )
    assert "CANARY" in reply.thinking
    target = Target(provider="openai", model="gpt-5", base_url="https://example.com")
    request = Request(messages=[user("Why?"), reply, user("Really?")], max_tokens=9)
    sent = get_dialect(dialect).encode_request(request, target)
    assert b"CANARY" not in sent.body
    assert b"Air." in sent.body


def test_what_else_a_composite_has_said_is_anybodys():
    said = AssistantMessage([Text("Air.", producer="composite")])
    (block,) = said.content
    assert replayable(block, "openai/gpt-5") == Text("Air.")


async def test_a_provider_is_never_asked_for_the_model_of_a_composite():
    async with AsyncClient(keys={"openai": "sk-any-0000"}) as client:
        assert not isinstance(client.model("composite/moa/openai/gpt-5-mini"), ProviderModel)
