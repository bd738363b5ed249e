"""LiteLLM, to which the gateway is Anthropic."""

import litellm_openai
from litellm_openai import breaks, error, stream, tools, tools_streamed, whole

litellm_openai.PREFIX, litellm_openai.BASE = "anthropic/", ""

__all__ = ["breaks", "error", "stream", "tools", "tools_streamed", "whole"]
