"""Templates that are pushed, tagged, used, compared, and seen by their own organisation alone."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from polyvox.config.schema import Template
from polyvox.errors import BadRequestError, NotFoundError, OverloadedError
from polyvox.gateway.asking.wishes import PromptUse
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.versions import Lookout, numbers
from polyvox.gateway.prompts.prompts import Prompts
from polyvox.gateway.prompts.shapes import (
    Comparing,
    ListQuery,
    Part,
    PromptTemplate,
    Rendering,
)
from polyvox.gateway.prompts.writing import VERSIONS
from polyvox.gateway.tenants.access import ADMIN, Access
from polyvox.messages import Text, assistant, user
from polyvox.request import Request

ADA = Access(key="ada", organisation="acme")
BOB = Access(key="bob", organisation="binary")


def template(text: str = "Hello {{ name }}.", **said: Any) -> PromptTemplate:
    return PromptTemplate(messages=[Part("system", text)], **said)


@pytest.fixture
async def prompts(database: Database) -> Prompts:
    prompts = Prompts(database, clock=lambda: 1_770_000_000.0)
    await prompts.reload()
    return prompts


# ------------------------------------------------------------------------------------------ versions


async def test_versions_are_numbered_and_never_change(prompts: Prompts):
    first = await prompts.push(ADA, "greet", template("One."), note="why")
    second = await prompts.push(ADA, "greet", template("Two."))
    assert (first.number, second.number) == (1, 2)
    assert (first.author, first.note, first.created) == ("ada", "why", 1_770_000_000.0)
    assert prompts.version(ADA, "greet", 1) == first
    assert prompts.version(ADA, "greet") == prompts.version(ADA, "greet", "newest") == second
    assert [each.number for each in prompts.versions(ADA, "greet").data] == [2, 1]
    for which in (0, 3, "3", "production", -1):
        with pytest.raises(NotFoundError, match="has no"):
            prompts.version(ADA, "greet", which)


async def test_what_says_the_same_is_no_new_version(prompts: Prompts):
    for _ in range(2):
        pushed = await prompts.push(ADA, "greet", template("One."), tags=("ci",))
        assert (pushed.number, pushed.tags) == (1, ["ci"])


async def test_two_who_push_at_once_get_two_numbers(database: Database):
    replicas = [Prompts(database) for _ in range(4)]
    pushed = await asyncio.gather(
        *(each.push(ADA, "greet", template(f"No {n}.")) for n, each in enumerate(replicas))
    )
    assert sorted(each.number for each in pushed) == [1, 2, 3, 4]


async def test_a_tag_moves_from_version_to_version(prompts: Prompts):
    for text in ("One.", "Two.", "Three."):
        await prompts.push(ADA, "greet", template(text))
    view = await prompts.tag(ADA, "greet", "production", 1)
    assert view.tags == {"production": 1}
    assert (await prompts.tag(ADA, "greet", "production", 2)).tags == {"production": 2}
    assert (await prompts.tag(ADA, "greet", "old", "production")).tags["old"] == 2
    assert (await prompts.tag(ADA, "greet", "next", None)).tags["next"] == 3
    assert prompts.version(ADA, "greet", "production").tags == ["old", "production"]
    await prompts.untag(ADA, "greet", "old")
    assert prompts.get(ADA, "greet").tags == {"next": 3, "production": 2}
    with pytest.raises(NotFoundError):
        await prompts.untag(ADA, "greet", "old")
    with pytest.raises(NotFoundError):
        await prompts.tag(ADA, "greet", "old", 9)
    for word in ("3", "newest", "a b", ""):
        with pytest.raises(BadRequestError, match="can't be a tag"):
            await prompts.tag(ADA, "greet", word, 1)


async def test_a_deleted_template_is_gone_with_all_that_it_was(prompts: Prompts):
    await prompts.push(ADA, "greet", template("One."), tags=("production",))
    await prompts.delete(ADA, "greet")
    with pytest.raises(NotFoundError):
        prompts.applied(ADA, "greet", Request(messages=[]))
    with pytest.raises(NotFoundError):
        await prompts.delete(ADA, "greet")
    assert (await prompts.push(ADA, "greet", template("Two."))).tags == []


# ----------------------------------------------------------------------------------- whose they are

USES: dict[str, Callable[[Prompts, Access], Awaitable[object] | object]] = {
    "get": lambda prompts, access: prompts.get(access, "greet"),
    "version": lambda prompts, access: prompts.version(access, "greet", 1),
    "versions": lambda prompts, access: prompts.versions(access, "greet"),
    "render": lambda prompts, access: prompts.render(access, "greet", Rendering()),
    "compare": lambda prompts, access: prompts.compare(access, "greet", Comparing(before=1)),
    "applied": lambda prompts, access: prompts.applied(access, "greet", Request(messages=[])),
    "tag": lambda prompts, access: prompts.tag(access, "greet", "mine", 1),
    "untag": lambda prompts, access: prompts.untag(access, "greet", "production"),
    "delete": lambda prompts, access: prompts.delete(access, "greet"),
}


async def awaited(use: Callable[..., Any], *arguments: object) -> None:
    done = use(*arguments)
    if isinstance(done, Awaitable):
        await done


@pytest.mark.parametrize("use", USES)
async def test_what_belongs_to_another_organisation_is_not_there(prompts: Prompts, use: str):
    await prompts.push(ADA, "greet", template("Hello."), tags=("production",))
    before = prompts.get(ADA, "greet")
    for stranger in (BOB, Access(key="none"), ADMIN):
        with pytest.raises(NotFoundError):
            await awaited(USES[use], prompts, stranger)
    assert prompts.get(ADA, "greet") == before


async def test_the_same_name_is_another_template_elsewhere(prompts: Prompts):
    await prompts.push(ADA, "greet", template("Hello."))
    await prompts.push(BOB, "greet", template("Hallo."))
    for access, text in ((ADA, "Hello."), (BOB, "Hallo.")):
        assert prompts.applied(access, "greet", Request(messages=[])).system == [Text(text)]
        assert len(prompts.listed(access, ListQuery(organisation="acme")).data) == 1
    assert [each.organisation for each in prompts.listed(ADMIN, ListQuery()).data] == [
        *("acme", "binary")
    ]
    assert len(prompts.listed(ADMIN, ListQuery(organisation="acme")).data) == 1


async def test_lists_come_in_parts_and_by_component(prompts: Prompts):
    for name in "cab":
        await prompts.push(ADA, name, template("x", component="odd" if name == "b" else ""))
    page = prompts.listed(ADA, ListQuery(limit=2))
    assert [each.name for each in page.data] == ["a", "b"]
    page = prompts.listed(ADA, ListQuery(limit=2, after=page.next))
    assert ([each.name for each in page.data], page.next) == (["c"], None)
    assert [each.name for each in prompts.listed(ADA, ListQuery(component="odd")).data] == ["b"]


# --------------------------------------------------------------------------------------- used in calls


async def test_a_call_gets_the_template_s_messages_before_its_own(prompts: Prompts):
    said = PromptTemplate(
        model="openai/gpt-5-mini",
        options=Template(temperature=0.2, max_tokens=50),
        messages=[
            Part("system", "You speak {{ language }}."),
            Part("user", "Good day"),
            Part("assistant", "Bonjour"),
            Part("user", "{% if hint is defined %}{{ hint }}{% endif %}"),
        ],
    )
    await prompts.push(ADA, "translate", said)
    asked = Request(messages=[user("Good night")], system=[Text("Be brief.")], temperature=1.0)
    use = PromptUse("translate", variables={"language": "French"})
    made = prompts.applied(ADA, use, asked)
    assert made.messages == [user("Good day"), assistant("Bonjour"), user("Good night")]
    assert made.system == [Text("You speak French."), Text("Be brief.")]
    assert (made.model, made.temperature, made.max_tokens) == ("openai/gpt-5-mini", 1.0, 50)
    assert asked == Request(
        messages=[user("Good night")], system=[Text("Be brief.")], temperature=1.0
    )
    named = prompts.applied(ADA, use, Request(messages=[], model="other/model"))
    assert named.model == "other/model"


async def test_a_version_is_named_by_number_tag_or_behind_an_at_sign(prompts: Prompts):
    await prompts.push(ADA, "greet", template("One."), tags=("production",))
    await prompts.push(ADA, "greet", template("Two."))
    for use, text in {
        "greet": "Two.",
        "greet@1": "One.",
        "greet@production": "One.",
        "greet@newest": "Two.",
    }.items():
        assert prompts.applied(ADA, use, Request(messages=[])).system == [Text(text)]
    use = PromptUse("greet", 1)
    assert prompts.applied(ADA, use, Request(messages=[])).system == [Text("One.")]


async def test_a_name_that_is_not_there_is_told_with_the_nearest(prompts: Prompts):
    await prompts.push(ADA, "greeting", template("One."))
    with pytest.raises(NotFoundError) as caught:
        prompts.applied(ADA, "greting", Request(messages=[]))
    assert caught.value.hint == "Did you mean 'greeting'?"
    with pytest.raises(NotFoundError) as caught:
        prompts.applied(BOB, "greting", Request(messages=[]))
    assert not caught.value.hint


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 10},
        "count": {"type": "integer", "default": 3},
        "pick": {"enum": ["a", "b"], "default": "a"},
    },
    "required": ["name"],
}


async def test_variables_are_checked_and_have_defaults(prompts: Prompts):
    text = "{{ name }} {{ count }} {{ pick }}"
    await prompts.push(ADA, "greet", template(text, variables=SCHEMA))
    rendered = prompts.render(ADA, "greet", Rendering(variables={"name": "Ada"}))
    assert rendered.messages == [Part("system", "Ada 3 a")]
    for variables, says in {
        "none": ({}, "variables: 'name' is missing"),
        "wrong": ({"name": 5}, r"variables.name: expected a string"),
        "long": ({"name": "x" * 11}, r"variables.name: has 11 characters"),
        "odd": ({"name": "A", "pick": "c"}, r"variables.pick: 'c' is none of"),
        "unknown": ({"name": "A", "cuont": 1}, "'cuont' is not known here; did you mean 'count'"),
        "no name": ({"name": "A", "_purse": 1}, "'_purse' can't be the name of a variable"),
        "no word": ({"name": "A", "a b": 1}, "'a b' can't be the name of a variable"),
    }.values():
        with pytest.raises(BadRequestError, match=says) as caught:
            prompts.render(ADA, "greet", Rendering(variables=variables))
        assert caught.value.text.startswith("the template 'greet', version 1: ")


async def test_without_a_schema_a_missing_variable_is_named_all_the_same(prompts: Prompts):
    await prompts.push(ADA, "greet", template("Hello {{ name }}."))
    with pytest.raises(BadRequestError, match="'name' is undefined"):
        prompts.applied(ADA, "greet", Request(messages=[]))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (template("{{ x"), r"messages\[0\]: line 1"),
        (template("{{ x.__class__ }}{% include 'y' %}"), r"messages\[0\]: line 1: Include"),
        (template("{{ nmae }}", variables=SCHEMA), r"uses the variable 'nmae'"),
        (template("x", variables={"type": "string"}), "another type than 'object'"),
        (template("x", variables={"properties": {"p": {"pattern": "(a+)+$"}}}), "p.pattern is not"),
        (template("x", variables={"properties": {"p": {"$ref": "#"}}}), r"p.\$ref is not taken"),
        (template("x", variables={"anyOf": [{"$ref": "#"}]}), r"anyOf\[0\].\$ref is not taken"),
        (template("x", variables={"title": "y" * 40_000}), "longer than 32,000"),
        (
            template("x", variables={"properties": {"n": {"type": "integer", "default": "x"}}}),
            "the default of variables.n: expected a whole number",
        ),
        (template("x", options=Template(system="y")), "options.system"),
    ],
)
async def test_a_template_that_could_not_be_used_is_refused_when_it_is_pushed(
    prompts: Prompts, wrong: PromptTemplate, says: str
):
    with pytest.raises(BadRequestError, match=says):
        await prompts.push(ADA, "greet", wrong)
    with pytest.raises(NotFoundError):
        prompts.get(ADA, "greet")


async def test_a_variable_may_be_called_as_a_word_of_schemas(prompts: Prompts):
    schema = {"properties": {"pattern": {"type": "string"}, "default": {"type": "string"}}}
    await prompts.push(ADA, "greet", template("{{ pattern }}{{ default }}", variables=schema))
    wanted = Rendering(variables={"pattern": "a", "default": "b"})
    assert prompts.render(ADA, "greet", wanted).messages == [Part("system", "ab")]


@pytest.mark.parametrize("name", ["", "a/b", "a b", ".hidden", "x" * 101, "ä"])
async def test_names_that_make_no_good_files_are_refused(prompts: Prompts, name: str):
    with pytest.raises(BadRequestError, match="can't be a template's name"):
        await prompts.push(ADA, name, template())


# --------------------------------------------------------------------------------------- compared


async def test_two_versions_are_compared_as_files_and_as_what_they_become(prompts: Prompts):
    await prompts.push(ADA, "greet", template("Hello {{ name }}.\nBye."), tags=("production",))
    await prompts.push(ADA, "greet", template("Hello dear {{ name }}.\nBye."))
    compared = prompts.compare(
        ADA, "greet", Comparing(before="production", variables={"name": "Ada"})
    )
    assert (compared.before, compared.after) == (1, 2)
    assert compared.template.startswith("--- greet@1\n+++ greet@2\n")
    assert "-Hello {{ name }}.\n+Hello dear {{ name }}.\n Bye.\n" in compared.template
    assert compared.rendering is not None
    assert "-Hello Ada.\n+Hello dear Ada.\n Bye.\n" in compared.rendering
    same = prompts.compare(ADA, "greet", Comparing(before=1, after="production"))
    assert (same.template, same.rendering) == ("", None)


# ---------------------------------------------------------------------------------------- replicas


async def test_others_hear_of_every_change(database: Database, prompts: Prompts):
    other = Prompts(database)
    lookout = Lookout(database, 60)
    lookout.watch(VERSIONS, other.reload)
    await lookout.look()
    seen = list[int]()

    async def noted() -> None:
        seen.append((await database.run(numbers))[VERSIONS])
        await lookout.look()

    await prompts.push(ADA, "greet", template("One."), tags=("production",))
    await noted()
    assert other.applied(ADA, "greet", Request(messages=[])).system == [Text("One.")]
    await prompts.push(ADA, "greet", template("Two."))
    await noted()
    assert other.version(ADA, "greet").number == 2
    await prompts.tag(ADA, "greet", "production", 2)
    await noted()
    assert other.get(ADA, "greet").tags == {"production": 2}
    await prompts.untag(ADA, "greet", "production")
    await noted()
    assert other.get(ADA, "greet").tags == {}
    await prompts.delete(ADA, "greet")
    await noted()
    with pytest.raises(NotFoundError):
        other.get(ADA, "greet")
    assert seen == sorted(set(seen))


async def test_a_template_that_another_replica_has_just_pushed_is_there_at_once(
    database: Database, prompts: Prompts
):
    other, empty = Prompts(database), Request(messages=[])
    await other.reload()
    await prompts.push(ADA, "greet", template("One."))
    assert (await other.apply(ADA, "greet", empty)).system == [Text("One.")]
    await prompts.push(ADA, "greet", template("Two."), tags=("next",))
    for use in ("greet@2", "greet@next"):
        assert (await other.apply(ADA, use, empty)).system == [Text("Two.")]
    with pytest.raises(NotFoundError):
        await other.apply(BOB, "greet", empty)


async def test_names_that_nobody_has_pushed_do_not_make_all_templates_be_read(
    database: Database, prompts: Prompts, monkeypatch: pytest.MonkeyPatch
):
    await prompts.push(ADA, "greet", template("One."))
    before, works = prompts._shelf, list[Any]()
    run = database.run

    async def counting(work: Any, **options: Any) -> Any:
        works.append(work)
        return await run(work, **options)

    monkeypatch.setattr(database, "run", counting)
    names = [f"unknown-{number}" for number in range(100)]
    asked = [prompts.apply(ADA, name, Request(messages=[])) for name in names * 2]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(each, NotFoundError) for each in found)
    assert works == [numbers]
    assert prompts._shelf is before


async def test_as_long_as_nothing_was_read_the_fault_is_not_the_caller_s(database: Database):
    prompts = Prompts(database)
    with pytest.raises(OverloadedError) as caught:
        prompts.applied(ADA, "greet", Request(messages=[]))
    assert (caught.value.status, caught.value.retry_after) == (503, 1.0)


async def test_templates_go_on_working_while_the_database_is_down(
    database: Database, prompts: Prompts
):
    await prompts.push(ADA, "greet", template("One."))
    await database.aclose()
    with pytest.raises(OverloadedError):
        await prompts.reload()
    assert prompts.applied(ADA, "greet", Request(messages=[])).system == [Text("One.")]
