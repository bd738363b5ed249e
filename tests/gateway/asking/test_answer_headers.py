"""What is told of an answer in its headers."""

import pytest

from polyvox.gateway.asking.telling import answer_headers
from polyvox.messages import AssistantMessage


@pytest.mark.parametrize("name", ["m\r\nx-evil: 1", "m\x00", "m\n\n<html>", "é\ud800"])
def test_a_name_that_a_caller_made_up_ends_no_header(name: str):
    message = AssistantMessage([], provider="up", model=name)
    value = dict(answer_headers(message))[b"x-polyvox-model"]
    assert value.startswith(b"up/")
    assert all(0x20 <= byte < 0x7F for byte in value)
