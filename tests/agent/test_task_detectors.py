"""Whether the model says that it is done."""

import gc
import weakref

import pytest

from polyvox.agent import Agent
from polyvox.agent.tasks import (
    CompletionFramework,
    PhraseDetector,
    TaskOutcome,
    ToolDetector,
    Verdict,
    run_until_done,
)
from polyvox.agent.tasks.detectors import verdict_of
from polyvox.errors import ConfigurationError
from polyvox.messages import AssistantMessage, Text, Thinking, ToolCall, assistant
from polyvox.tools import tool

from .rig import agent_of, calls
from .task_rig import Asked, Never, roles, text_of


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("TASK COMPLETE", "complete"),
        ("All is well.\n\n**TASK COMPLETE**", "complete"),
        ("__TASK COMPLETE__", "complete"),
        ("TASK COMPLETE: two files changed", "complete"),
        ("TASK\nCOMPLETE", "complete"),
        ("I GIVE UP", "give_up"),
        ("GIVE UP. There is no compiler.", "give_up"),
        ("TASK COMPLETE, though I meant to GIVE UP", "complete"),
        ("I GIVE UP. No: TASK COMPLETE", "complete"),
        ("The TASK COMPLETED half of it", None),
        ("MULTITASK COMPLETE", None),
        ("task complete", None),
        ("I will not give up", None),
        ("TASK_COMPLETE", None),
        ("GIVE UPDATES", None),
        ("", None),
    ],
)
def test_the_phrases_are_found_as_whole_words_and_complete_wins(text: str, claim: str | None):
    verdict = PhraseDetector()(assistant(text))
    assert (verdict and verdict.claim) == claim


def test_what_the_model_only_thinks_is_no_claim():
    assert PhraseDetector()(AssistantMessage([Thinking("TASK COMPLETE?"), Text("Hm.")])) is None


def test_phrases_of_ones_own_may_hold_any_characters():
    detect = PhraseDetector("[DONE]", "(no way)")
    assert detect.instructions.count("[DONE]") == 1
    verdict = detect(assistant("so: [DONE]"))
    assert verdict is not None
    assert verdict.claim == "complete"
    assert detect(assistant("TASK COMPLETE")) is None


def test_a_function_of_the_message_is_a_detector():
    message = assistant("Done.")
    assert verdict_of(lambda message: "complete", message) == Verdict("complete", "Done.")
    assert verdict_of(lambda message: None, message) is None
    assert verdict_of(lambda message: pytest.fail("nothing was said"), None) is None


@pytest.mark.parametrize("answer", [True, "done", 1])
def test_an_answer_that_is_no_verdict_names_those_that_are(answer: object):
    with pytest.raises(ConfigurationError) as caught:
        verdict_of(lambda message: answer, assistant("Done."))  # type: ignore[arg-type, return-value]
    assert "'give_up'" in str(caught.value)


async def test_a_detector_that_fails_ends_the_task_with_its_error():
    agent = agent_of(["Hm."])
    result = await run_until_done(agent, "Go.", Never(), detector=lambda message: 1 / 0)  # type: ignore[arg-type, return-value]
    assert result.outcome == "error"
    assert "division by zero" in result.detail


# ------------------------------------------------------------------------------ by a tool


COMPLETE = calls(ToolCall("c1", "task_complete", {"summary": "wrote it"}))
GIVE_UP = calls(ToolCall("g1", "give_up", {"reason": "no compiler"}))


async def test_the_model_says_by_a_tool_that_it_is_done():
    agent = agent_of([COMPLETE])
    result = await run_until_done(agent, "Go.", Asked("not there"), detector=ToolDetector())
    assert (result.outcome, result.detail, result.attempts) == ("done", "wrote it", 1)
    assert roles(result.messages) == "U U AC T"
    asked = agent.model.requests[0]
    assert [each.name for each in asked.tools] == ["task_complete", "give_up"]
    assert "call task_complete" in text_of(asked.messages[1])


async def test_a_model_that_calls_neither_is_told_which_to_call():
    agent = agent_of(["I think that is all.", COMPLETE])
    result = await run_until_done(agent, "Go.", Asked("no"), detector=ToolDetector())
    assert (result.outcome, result.attempts) == ("done", 2)
    assert "call task_complete" in text_of(result.messages[3])


async def test_the_client_of_an_agent_that_has_its_model_by_name_is_the_agents_to_close():
    async with Agent("simulated/echo") as agent:
        framework = CompletionFramework(agent, detector=ToolDetector(), max_attempts=1)
        result = await framework.run("Go.", Never())
        assert result.outcome == "exhausted"
        assert len(agent._own_clients) == 1


async def test_an_agent_that_only_its_task_knows_lives_as_long_as_that():
    """Else its client would be closed under the task."""
    agent = agent_of([COMPLETE])
    known = weakref.ref(agent)
    task = CompletionFramework(agent, detector=ToolDetector()).stream("Go.", Asked("no"))
    del agent
    async with task:
        async for _ in task:
            gc.collect()
            assert known() is not None
    assert task.result.outcome == "done"


async def test_a_premature_call_is_followed_by_feedback():
    agent = agent_of([COMPLETE, COMPLETE])
    result = await run_until_done(agent, "Go.", Asked("one", "two"), detector=ToolDetector())
    assert (result.outcome, result.attempts) == ("done", 2)
    assert roles(result.messages) == "U U AC T U AC T"
    assert "- two" in text_of(result.messages[4])


async def test_the_model_gives_up_by_a_tool_and_says_why():
    result = await run_until_done(agent_of([GIVE_UP]), "Go.", Never(), detector=ToolDetector())
    assert (result.outcome, result.detail) == ("gave_up", "no compiler")


def test_a_call_that_did_not_come_whole_is_no_claim():
    cut = calls(ToolCall("c", "task_complete", unparsed='{"summ'))
    assert ToolDetector()(cut) is None


async def test_a_call_whose_arguments_are_wrong_is_no_claim():
    wrong = calls(ToolCall("c0", "task_complete", {}))
    agent = agent_of([wrong, COMPLETE])
    result = await run_until_done(agent, "Go.", Asked("no"), detector=ToolDetector())
    assert (result.outcome, result.attempts) == ("done", 1)
    assert "summary" in text_of(result.messages[3])


async def test_the_agents_own_tools_stay_and_it_is_not_changed():
    @tool
    async def look() -> str:
        """Look."""
        return "seen"

    agent = agent_of([calls("look"), COMPLETE], tools=[look])
    result = await run_until_done(agent, "Go.", Asked("no"), detector=ToolDetector())
    assert roles(result.messages) == "U U AC T AC T"
    assert list(agent.tools) == [look]


async def test_agents_that_are_handed_the_task_can_say_so_too():
    other = agent_of([COMPLETE], name="other")
    agent = agent_of([calls("transfer_to_other")], handoffs=[other])
    other.handoffs = [agent]
    result = await run_until_done(agent, "Go.", Asked("no"), detector=ToolDetector())
    assert (result.outcome, result.state.agent) == ("done", "other")
    assert (list(other.tools), other.handoffs) == ([], [agent])


async def test_a_tool_of_the_same_name_is_a_mistake_that_names_it():
    @tool
    async def give_up() -> str:
        """Do."""
        return ""

    result = await run_until_done(
        agent_of(["Hm."], tools=[give_up]), "Go.", Never(), detector=ToolDetector()
    )
    assert result.outcome == "error"
    assert "give_up" in result.detail


@pytest.mark.parametrize(("text", "outcome"), [("TASK COMPLETE", "done"), ("GIVE UP", "done")])
async def test_the_status_has_the_last_word(text: str, outcome: TaskOutcome):
    result = await run_until_done(agent_of([text]), "Go.", Asked("no"))
    assert result.outcome == outcome
