"""What an answer through LiteLLM cost: our catalog's word, else LiteLLM's own list of prices."""

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal
from types import ModuleType
from typing import TypeAlias

from polyvox.usage import NANOS_PER_DOLLAR, UNKNOWN_COST, Cost, Usage

ListPrice: TypeAlias = Callable[[str, str, Usage], Cost]
"""The price of a usage of LiteLLM's provider and model, by a list that goes before LiteLLM's."""

OUR_NAMES = {
    "azure": "azure-openai",
    "azure_ai": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "hosted_vllm": "vllm",
    "lm_studio": "lmstudio",
    "nvidia_nim": "nvidia",
    "ollama_chat": "ollama",
    "text-completion-openai": "openai",
    "together_ai": "together",
    "vertex_ai": "google",
}
"""LiteLLM's names of providers that are called otherwise in our rows or catalog."""


def no_list(provider: str, model: str, usage: Usage) -> Cost:
    """The list of somebody who has none."""
    return UNKNOWN_COST


def litellm_cost(litellm: ModuleType, provider: str, model: str, usage: Usage) -> Cost:
    """The price by LiteLLM's list, marked as the provider's word; unknown where it has none.

    A price of nothing is taken as unknown: the list has zeros where nobody filled in a number.
    """
    try:
        parts = litellm.cost_per_token(
            model=model,
            custom_llm_provider=provider,
            prompt_tokens=usage.input_tokens,
            completion_tokens=usage.output_tokens,
            cache_read_input_tokens=usage.cache_read_tokens,
            cache_creation_input_tokens=usage.cache_write_tokens,
        )
        given, made = (_nanos(dollars) for dollars in parts)
    except Exception:  # noqa: BLE001 - whatever goes wrong in there, it has no price for us
        return UNKNOWN_COST
    if not given + made:
        return UNKNOWN_COST
    return Cost("known", given + made, input_nanos=given, output_nanos=made, source="provider")


def _nanos(dollars: float) -> int:
    exact = Decimal(repr(dollars)) * NANOS_PER_DOLLAR
    return int(exact.to_integral_value(ROUND_HALF_EVEN))
