"""What a name may look like: as a pattern, and in words for whoever sends another one."""

__all__ = ["IN_A_PATH", "NO_CONTROLS", "SHA256_OR_NONE", "SLUG", "SLUG_OR_NONE", "in_words"]

# A "$" alone would let a line feed stand behind it.
_END = r"$(?!\n)"
_SLUG = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"

SLUG = rf"^{_SLUG}{_END}"
SLUG_OR_NONE = rf"^(?:{_SLUG})?{_END}"
NO_CONTROLS = rf"^[^\x00-\x1f\x7f]*{_END}"
SHA256_OR_NONE = rf"^(?:[0-9a-f]{{64}})?{_END}"
IN_A_PATH = rf"^[^/\x00-\x1f\x7f]*{_END}"

_LETTERS = 'up to 64 letters (a-z), digits, ".", "_" and "-", first a letter or a digit'
_WORDS = {
    SLUG: _LETTERS,
    SLUG_OR_NONE: _LETTERS,
    NO_CONTROLS: "a text on one line",
    SHA256_OR_NONE: "a SHA-256 as 64 digits (0-9, a-f)",
    IN_A_PATH: 'a text on one line, without "/"',
}


def in_words(told: str) -> str:
    """What msgspec tells of a value that fits no pattern, with words in the pattern's place."""
    for pattern, words in _WORDS.items():
        told = told.replace(f"`str` matching regex {pattern!r}", words)
    return told
