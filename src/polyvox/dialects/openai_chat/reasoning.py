"""OpenRouter's ``reasoning_details``: reasoning with what its producer needs to know it again.

Source: "Reasoning Tokens", section "reasoning_details Array Structure", in OpenRouter's
documentation. An entry is of type ``reasoning.text`` (``text``, maybe ``signature``),
``reasoning.summary`` (``summary``) or ``reasoning.encrypted`` (``data``). In a stream entries come
in fragments, told apart by ``index``; they go back joined, in the order in which they came.
"""

from typing import Any

_GROWING = ("text", "summary", "data")


def details_text(details: list[dict[str, Any]]) -> str:
    """What can be read in these entries."""
    texts = (entry.get("text") or entry.get("summary") for entry in details)
    return "".join(text for text in texts if isinstance(text, str))


def merge_details(details: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entries with their fragments joined, in time linear in their length.

    >>> merge_details(
    ...     [
    ...         {"type": "reasoning.text", "index": 0, "text": "Hm"},
    ...         {"type": "reasoning.text", "index": 0, "text": "m.", "signature": "c2ln"},
    ...     ]
    ... )
    [{'type': 'reasoning.text', 'index': 0, 'text': 'Hmm.', 'signature': 'c2ln'}]
    """
    runs: list[list[dict[str, Any]]] = []
    for entry in details:
        if runs and _continues(entry, runs[-1][0]):
            runs[-1].append(entry)
        else:
            runs.append([entry])
    return [_join(run) for run in runs]


def _continues(entry: dict[str, Any], first: dict[str, Any]) -> bool:
    index = entry.get("index")
    return index is not None and (index, entry.get("type")) == (
        first.get("index"),
        first.get("type"),
    )


def _join(run: list[dict[str, Any]]) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for entry in run:
        joined.update({key: value for key, value in entry.items() if value is not None})
    for key in _GROWING:
        parts = [entry[key] for entry in run if isinstance(entry.get(key), str)]
        if parts:
            joined[key] = "".join(parts)
    return joined
