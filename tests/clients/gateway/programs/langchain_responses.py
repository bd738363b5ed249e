"""LangChain's ChatOpenAI over responses."""

import langchain_chat
from langchain_chat import breaks, error, stream, tools, tools_streamed, whole

langchain_chat.RESPONSES = True

__all__ = ["breaks", "error", "stream", "tools", "tools_streamed", "whole"]
