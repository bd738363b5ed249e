"""Quirks: how those who speak a dialect differ in it. They are data, in a provider's row or a user's."""

from typing import Literal, TypeAlias

import msgspec

from polyvox.request import Effort

__all__ = ["EmbedQuirks", "Quirks", "ReasoningStyle"]

ReasoningStyle: TypeAlias = Literal["effort", "openrouter", "thinking", "enable_thinking", "none"]


class EmbedQuirks(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a provider's embeddings differ. The defaults are careful guesses for one that says nothing.

    ``path``             where they are, below the base URL; "" if there are none
    ``batch``            how many texts a request may hold
    ``tokens``           how many tokens all texts of a request may have; None: no limit is known
    ``encoding``         how vectors are asked for: "base64" (of 32-bit floats) is the fastest to read
    ``dimensions_field`` the name under which the length of the vectors travels
    ``tasks``            the words that ``input_type`` has for our tasks
    """

    path: str = "/embeddings"
    batch: int = 100
    tokens: int | None = None
    encoding: Literal["float", "base64", "base64_int8"] = "float"
    dimensions_field: str = "dimensions"
    tasks: dict[str, str] = {}


class Quirks(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How a provider's own version of a dialect differs. The defaults are the common case.

    ``max_tokens_field``    the name under which the output limit travels
    ``developer_role``      instructions have the role "developer", not "system"
    ``reasoning_style``     how effort is asked for: ``reasoning_effort``, OpenRouter's ``reasoning``
                            object, a ``thinking`` object, ``enable_thinking``, or not at all
    ``efforts``             the words ``reasoning_effort`` may hold, if not all; others go as the
                            nearest. Where given, style "thinking" sends them beside its object
    ``effort_with_tools``   an effort may stand beside tools; or "none" alone may, and must: "none"
    ``reasoning_replay``    the field in which reasoning goes back with an assistant message, or ""
    ``reasoning_with_calls`` ... and must stand beside tool calls, even if there is none to tell
    ``prefix``              an answer at the end, which is to be gone on with, must say so: ``prefix``
    ``answer_after_results`` an answer must stand between tool results and what the user says next
    ``usage_in_stream``     streamed usage must be asked for with ``stream_options``
    ``strict_tools``        ``strict`` is understood on tools
    ``json_schema``         ``response_format`` may be a JSON schema, not only "json_object"
    ``sampling``            ``temperature`` and ``top_p`` may be set; many reasoning models refuse,
                            some only while they think: "unthinking"
    ``stop``                the field of that name is understood
    ``most_stops``          ... and holds so many strings at most, where there is a limit
    ``parallel_tool_calls`` the field of that name is understood
    ``seed``                the field of that name is understood
    ``seed_field``          ... and this is its name
    ``tool_result_name``    tool results repeat the tool's name
    ``tool_result_images``  tool results may hold images
    ``call_ids``            tool call ids of others are shortened: to 40 characters, or to exactly 9
    ``images``              pictures are taken
    ``image_urls``          a picture may be given by a URL, which the provider fetches
    ``audio``               the formats of sound that are taken, such as "wav"; () if it is not
    ``audio_style``         sound is an object of its data and format, or its data alone
    ``files``               files are taken
    ``file_urls``           a file may be given by a URL, which the provider fetches
    ``file_style``          the part that holds a file: OpenAI's "file", or "document_url"
    ``metadata``            the field of that name is understood
    ``tool_choice_required`` the word for "some tool must be called": "required" or "any"
    ``thinking_as_text``    others' reasoning is replayed as text in think tags instead of dropped
    ``cache_control``       Anthropic's ``cache_control`` marks are understood
    ``long_cache``          the long-lived cache (1 hour) may be asked for
    ``done_marker``         a stream ends with "[DONE]"; if it is missing, a warning says so
    ``models_path``         where the list of models is, below the base URL; "" if there is none
    ``count_tokens``        the provider has an endpoint that counts tokens
    ``embed``               where embeddings are, and how they differ
    ``passes``              a request of the same dialect may go on as it came, although there are quirks
    """

    max_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_tokens"
    developer_role: bool = False
    reasoning_style: ReasoningStyle = "effort"
    efforts: tuple[Effort, ...] = ()
    effort_with_tools: bool | Literal["none"] = True
    reasoning_replay: Literal["", "reasoning_content", "reasoning"] = ""
    reasoning_with_calls: bool = False
    prefix: bool = False
    answer_after_results: bool = False
    usage_in_stream: bool = True
    strict_tools: bool = False
    json_schema: bool = True
    sampling: bool | Literal["unthinking"] = True
    stop: bool = True
    most_stops: int | None = None
    parallel_tool_calls: bool = True
    seed: bool = True
    seed_field: str = "seed"
    tool_result_name: bool = False
    tool_result_images: bool = False
    call_ids: Literal["forty", "nine"] = "forty"
    images: bool = True
    image_urls: bool = True
    audio: tuple[str, ...] = ("wav", "mp3")
    audio_style: Literal["object", "plain"] = "object"
    files: bool = True
    file_urls: bool = False
    file_style: Literal["file", "document_url"] = "file"
    metadata: bool = False
    tool_choice_required: Literal["required", "any"] = "required"
    thinking_as_text: bool = False
    cache_control: bool = False
    long_cache: bool = True
    done_marker: bool = True
    models_path: str = "/models"
    count_tokens: bool = False
    embed: EmbedQuirks = EmbedQuirks()
    passes: bool = False
