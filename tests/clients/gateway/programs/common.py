"""What the programs share: what they ask, their tool, and how they tell of an error."""

from typing import Any

QUESTION = "Weather?"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ABOUT = "The weather in a city."


def weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: Its name.
    """
    return f"rain in {city}"


def refused(error: Any) -> dict[str, Any]:
    """An error of OpenAI's or Anthropic's client, or of who builds on them."""
    headers = getattr(error, "litellm_response_headers", None) or error.response.headers
    return {
        "status": getattr(error, "status_code", None),
        "retry_after": headers.get("retry-after"),
        "text": str(error),
        "kind": type(error).__name__,
    }
