"""simulated/a, b and c: what they compute, how often they err, and what they make of others' answers."""

import json
from collections.abc import Mapping, Sequence

import pytest

from polyvox.assembly import fold
from polyvox.composite import Council, Member, MixtureOfAgents
from polyvox.composite.labels import Labels, letters
from polyvox.composite.prompts import with_references
from polyvox.composite.ranking import parse_ranking
from polyvox.composite.reviews import chairman_request, review_request
from polyvox.events import TextDelta
from polyvox.messages import Text, assistant, user
from polyvox.model import Call, Model
from polyvox.providers.simulated import simulated_model
from polyvox.providers.simulated.grammar import check_grammar
from polyvox.providers.simulated.puzzles import solve
from polyvox.providers.simulated.tokens import count, pieces
from polyvox.request import Request, ResponseFormat, ToolDefinition
from polyvox.usage import FREE

PANEL = "abc"
QUESTIONS = [f"What is {number} * {number % 7 + 3}?" for number in range(100, 300)]


def request(question: str, **fields: object) -> Request:
    return Request(messages=[user(question)], **fields)


def products(question: str) -> str:
    """The right value, reckoned without the code under test."""
    one, other = (int(word.strip("?")) for word in question.split() if word[0].isdigit())
    return str(one * other)


async def said(model: Model | str, asked: Request) -> str:
    model = simulated_model(model) if isinstance(model, str) else model
    events = [event async for event in model.stream(asked, Call())]
    check_grammar(events)
    return fold(events).text


def value_of(question: str, text: str) -> str:
    puzzle = solve(question)
    assert puzzle is not None
    return puzzle.read(text)


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("What is 17 * 23?", "391"),
        ("12 plus 30", "42"),
        ("How much is 1,000 minus 2?", "998"),
        ("17 x 23", "391"),
        ("What is (3 + 4) * 5.", "35"),
        ("Question 12: what is 0.1 + 0.2?", "0.3"),
        ("-3 + 5 = ?", "2"),
        ("5 − 8", "-3"),
        ("What is 10 divided by 3?", "3.3333"),
        ("What is the sum of 3, 4, and 5?", "12"),
        ("The product of 6 and 7, please.", "42"),
        ("How many letters are in 'polyvox'?", "7"),
        ("How many letters are in 'to be, or not'?", "9"),
        ("How often does 'o' stand in 'polyvox'?", "2"),
        ("How many 'o's are in 'polyvox'?", "2"),
        ("How many r's are in strawberry?", "3"),
        ('How many times does the letter r occur in the word "strawberry"?', "3"),
        ("Reverse 'polyvox'.", "xovylop"),
        ('Spell "hello world" backwards.', "dlrow olleh"),
        ("What is 'polyvox' in upper case?", "POLYVOX"),
        ("Which is larger, 3/4 or 5/7?", "3/4"),
        ("Which of 9.11 and 9.9 is smaller?", "9.11"),
        ("Which is bigger: 3 * 4 or -20?", "3 * 4"),
        ("Which is larger, 1/2 or 2/4?", "neither"),
        ("Is 9.11 greater than 9.9?", "no"),
        ("Is 3/4 more than 5/7?", "yes"),
        ("Is 7 less than 7?", "no"),
        ("What day of the week is 2024-02-29?", "Thursday"),
        ("On which weekday fell 2000-01-01?", "Saturday"),
    ],
)
async def test_what_can_be_computed_is_answered_with_its_value(question: str, value: str):
    puzzle = solve(question)
    assert puzzle is not None
    assert puzzle.value == value
    assert puzzle.wrong
    assert value not in puzzle.wrong
    texts = [await said(letter, request(question)) for letter in PANEL]
    assert len(set(texts)) == 3
    assert {puzzle.read(text) for text in texts} <= {value, *puzzle.wrong}


@pytest.mark.parametrize(
    "question",
    [
        "",
        "Why is the sky blue?",
        "I have 3 apples.",
        "On which weekday fell 2023-02-29?",
        "When was 2024-02-29?",
        "What is 1/0?",
        "What is 9**9**9?",
        "What is 1.2.3 + 4?",
        "1" + "-" * 990 + "1",
        "(" * 400 + "1" + ")" * 400 + "+1",
        "9" * 450 + ".5 * " + "9" * 450,
        "What is 1 + 1? " * 100,
        "How many people have a car in Oslo?",
        "Which is larger, Oslo or Bergen?",
    ],
)
async def test_what_cannot_be_computed_is_answered_with_a_sentence_that_says_so(question: str):
    texts = [await said(letter, request(question)) for letter in PANEL]
    assert len(set(texts)) == 3
    assert all("imulated" in text and len(text) < 150 for text in texts)
    assert all(question in text for text in texts if len(question) < 80)


async def rights(model: Model | str) -> set[str]:
    return {
        each
        for each in QUESTIONS
        if value_of(each, await said(model, request(each))) == products(each)
    }


async def test_each_puts_a_right_value_in_words_of_its_own():
    question = min(await rights("a") & await rights("b") & await rights("c"))
    product, value = question.removeprefix("What is ").strip("?"), products(question)
    assert [await said(letter, request(question)) for letter in PANEL] == [
        f"{product} is {value}.",
        f"For {product} I get {value}.",
        f"My answer is {value}.",
    ]


async def test_each_errs_on_three_in_ten_and_on_others():
    right = [await rights(letter) for letter in PANEL]
    for one in right:
        assert 0.62 <= len(one) / len(QUESTIONS) <= 0.78
    # Of two that err independently, both are right on 49 in 100.
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert 0.4 <= len(right[one] & right[other]) / len(QUESTIONS) <= 0.58


async def test_a_majority_is_right_more_often_than_each_alone():
    alone = [len(await rights(letter)) for letter in PANEL]
    panel = [simulated_model(letter) for letter in PANEL]
    together = await rights(MixtureOfAgents(panel, aggregator=panel[0]))
    assert len(together) > max(alone) + len(QUESTIONS) // 25


async def test_the_same_question_gets_the_same_answer_whatever_its_capitals_and_white_space():
    asked = [request("What is 17 * 23?"), request("  what is\n17 * 23? ")]
    for letter in PANEL:
        first, second = [value_of("17 * 23", await said(letter, each)) for each in asked]
        assert first == second


async def test_the_answer_is_told_token_by_token_and_is_free():
    asked = request("What is 17 * 23?", tools=[ToolDefinition("multiply")])
    events = [event async for event in simulated_model("simulated/c").stream(asked, Call())]
    message = fold(events)
    assert [e.text for e in events if isinstance(e, TextDelta)] == pieces(message.text)
    assert (message.provider, message.model) == ("simulated", "c")
    assert message.usage.output_tokens == count(message.text)
    assert message.usage.cost == FREE
    assert not message.tool_calls


async def test_json_is_of_the_schema_and_has_the_value():
    schema = {
        "type": "object",
        "properties": {"product": {"type": "integer"}},
        "required": ["product"],
    }
    question = min(await rights("b"))
    typed = await said("b", request(question, response_format=ResponseFormat(schema)))
    assert json.loads(typed) == {"product": int(products(question))}
    loose = await said("b", request(question, response_format=ResponseFormat()))
    assert json.loads(loose) == {"answer": products(question)}


@pytest.mark.parametrize(
    ("texts", "value"),
    [
        (["7 * 8 is 54.", "I say 57.", "It makes 54."], "54"),
        (["As 7 * 8 = 1,234.", "1234", "57"], "1234"),
        (["I don't know.", "54.\n\nFor sure: 54.", "57", "54"], "54"),
        ([f"{number}" for number in range(60, 72)] + ["71"], "71"),
    ],
)
async def test_an_aggregator_answers_with_the_value_that_most_have(texts: list[str], value: str):
    asked = with_references(request("What is 7 * 8?"), texts)
    assert value_of("7 * 8", await said("b", asked)) == value


async def test_of_values_that_as_many_have_an_aggregator_takes_its_own():
    own = value_of("7 * 8", await said("a", request("What is 7 * 8?")))
    for texts in (["1", "2", own], [own, "1", "2"], ["1", own, "1", own], ["nothing"]):
        asked = with_references(request("What is 7 * 8?"), texts)
        assert value_of("7 * 8", await said("a", asked)) == own


async def test_a_numbered_list_of_the_users_own_is_no_list_of_answers():
    for question in QUESTIONS[:5]:
        rules = "Keep to these rules:\n\n1. Say 1.\n\n2. Say 1.\n\n3. Say 1."
        value = value_of(question, await said("a", request(f"{question}\n\n{rules}")))
        assert value not in ("", "1")


async def test_the_question_is_found_behind_tool_results_and_answers():
    conversation = Request(messages=[user("Hi."), assistant("Hello."), user("What is 7 * 8?")])
    noted = with_references(
        Request(messages=[*conversation.messages, assistant("Let me see.")]), ["9"] * 2
    )
    assert value_of("7 * 8", await said("a", noted)) == "9"


def reviewed(
    texts: Sequence[str], **fields: object
) -> tuple[Request, Labels[int], Mapping[int, str]]:
    answers = dict(enumerate(texts))
    labels = Labels(answers, seed=1, reader="test")
    return review_request(request("What is 7 * 8?", **fields), answers, labels), labels, answers


@pytest.mark.parametrize("number", range(2, 31))
@pytest.mark.parametrize("as_json", [False, True])
async def test_a_review_ranks_all_and_the_value_of_most_first(number: int, as_json: bool):
    texts = ["My answer is 9." if place % 2 else f"{place + 100}" for place in range(number)]
    texts[-1] = "My answer is 9."
    fields = {"response_format": ResponseFormat()} if as_json else {}
    asked, labels, answers = reviewed([*texts, "I get 9."], **fields)
    for letter in PANEL:
        review = await said(letter, asked)
        ranking = parse_ranking(review, labels.letters)
        assert sorted(ranking) == sorted(labels.letters)
        ranked = [answers[labels.author(each)] for each in ranking]
        nines = sum("9." in text for text in answers.values())
        assert all("9." in text for text in ranked[:nines])
        assert all(labels.label(author) in review for author in answers)
        if as_json:
            assert set(json.loads(review)) == {"review", "ranking"}


async def test_a_reviewer_of_two_answers_prefers_the_one_that_it_would_have_given():
    own = value_of("7 * 8", await said("c", request("What is 7 * 8?")))
    asked, labels, answers = reviewed(["My answer is 1.", f"It is {own}."])
    review = await said("c", asked)
    best = answers[labels.author(parse_ranking(review, labels.letters)[0])]
    assert best == f"It is {own}."
    assert f"says {own}, as I do." in review
    assert f"says 1, but I get {own}." in review


async def test_a_reviewer_counts_for_its_own_value_and_prefers_it_of_equals():
    own = value_of("7 * 8", await said("c", request("What is 7 * 8?")))
    for texts in (["It is 1.", "I get 1.", own], ["It is 1.", own, "I get 1."]):
        for shown in (texts, texts[::-1]):
            asked, labels, answers = reviewed(shown)
            ranking = parse_ranking(await said("c", asked), labels.letters)
            assert answers[labels.author(ranking[0])] == own


async def test_a_review_of_a_single_answer_or_of_words_is_one_too():
    only, _, _ = reviewed(["It is 1."])
    assert (await said("a", only)).startswith("Response A says 1, ")
    answers = {0: "Because of the air.", 1: "Because of the sea."}
    labels = Labels(answers, seed=1, reader="test")
    review = await said("a", review_request(request("Why is it blue?"), answers, labels))
    assert parse_ranking(review, labels.letters) == labels.letters == [letters(0), letters(1)]


async def test_a_chairman_answers_with_the_value_that_most_have():
    answers = {0: "It is 54.", 1: "I get 57.", 2: "It makes 54."}
    labels = Labels(answers, seed=1, reader="chairman", numbered=True)
    asked = chairman_request(request("What is 7 * 8?"), answers, labels, [], ["Response 2 is 57."])
    assert value_of("7 * 8", await said("c", asked)) == "54"
    assert await said("c", asked) == "My answer is 54."


async def outvoted() -> str:
    """A question on which simulated/a errs and the two others are right."""
    right_others = await rights("b") & await rights("c")
    return min(right_others - await rights("a"))


async def test_a_mixture_and_a_council_give_the_majoritys_value_where_the_one_in_charge_errs():
    question = await outvoted()
    panel = [simulated_model(letter) for letter in PANEL]
    for model in (
        MixtureOfAgents(panel, aggregator=panel[0]),
        MixtureOfAgents(panel, aggregator=panel[0], layers=3),
        Council(panel, chairman=panel[0]),
        Council(panel, chairman=panel[0], exclude_own=False),
        Council(
            [Member(MixtureOfAgents(panel, aggregator=each)) for each in panel],
            chairman=MixtureOfAgents(panel, aggregator=panel[0]),
        ),
        MixtureOfAgents([Council(panel, chairman=each) for each in panel], aggregator=panel[0]),
    ):
        text = await said(model, request(question, system=[Text("Be brief.")]))
        assert value_of(question, text) == products(question)


async def test_the_ranking_of_a_council_puts_the_one_that_errs_last():
    question = await outvoted()
    panel = [simulated_model(letter) for letter in PANEL]
    council = Council(panel, chairman=panel[0], exclude_own=False, seed=1)
    events = [event async for event in council.stream(request(question), Call())]
    trace = fold(events).trace
    assert trace is not None
    standings = [node.label for node in trace.walk() if node.kind == "standing"]
    assert standings[-1] == "simulated/a"
