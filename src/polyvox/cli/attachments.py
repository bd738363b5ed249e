"""The prompt out of what was given: arguments, files, stdin."""

import sys
from collections.abc import Iterator, Sequence
from mimetypes import guess_type
from pathlib import Path

from polyvox.cli.options import InputError
from polyvox.media_types import sniff_media_type
from polyvox.messages import File, Image, Text, UserBlock

__all__ = ["gather_prompt", "piped_text", "read_block"]

_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def gather_prompt(words: Sequence[str], files: Sequence[Path]) -> list[UserBlock]:
    """The blocks of the prompt: the arguments, then the files, then what comes on stdin.

    A file that is all there is goes in as it is; beside other text a file goes in under its name.
    Newlines at the end of stdin are those of ``echo`` and are left out.
    Raises ``InputError`` if there is nothing at all.
    """
    argument = " ".join(words) if tuple(words) != ("-",) else ""  # "-" is stdin, as elsewhere
    piped = "" if Path("-") in files else piped_text()
    attached = [read_block(path) for path in files]
    alone = not argument.strip() and not piped.strip() and len(files) == 1
    blocks: list[UserBlock] = []
    if argument.strip():
        blocks.append(Text(argument))
    for path, block in zip(files, attached, strict=True):
        named = isinstance(block, Text) and not alone
        blocks.append(_under_its_name(path, block) if named else block)
    if piped.strip():
        blocks.append(Text(piped.rstrip("\r\n")))
    if not blocks:
        raise InputError(
            "there is nothing to ask", "Give a prompt, pipe it in, or name a file with -f."
        )
    return list(_joined(blocks))


def read_block(path: Path) -> UserBlock:
    """A file as a block: text, a picture, a PDF or sound; "-" is stdin.

    Raises ``InputError`` if it can't be read or is none of these.
    """
    try:
        data = sys.stdin.buffer.read() if path == Path("-") else path.read_bytes()
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from None
    media_type = sniff_media_type(data) or _sound_by_name(path)
    if media_type.startswith("image/"):
        return Image(data, media_type=media_type)
    if media_type:
        return File(data, media_type=media_type, name=path.name)
    try:
        return Text(_decoded(data))
    except UnicodeDecodeError:
        if b"\x00" not in data:
            raise InputError(
                f"{path} is not UTF-8 text", "'iconv -f LATIN1 -t UTF-8' converts Latin-1 text."
            ) from None
        raise InputError(
            f"{path} is neither text nor a picture (PNG, JPEG, GIF, WebP), PDF or sound"
        ) from None


def _sound_by_name(path: Path) -> str:
    """The media type of sound whose bytes don't tell it, such as "audio/mp4" of some .m4a files."""
    told = guess_type(path.name)[0] or ""
    return "audio/mp4" if told == "audio/mp4a-latm" else told if told.startswith("audio/") else ""


def _decoded(data: bytes) -> str:
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    text = data.decode(encoding)
    if "\x00" in text:
        raise UnicodeDecodeError(encoding, data, 0, 1, "binary")
    return text


def piped_text() -> str:
    """What comes on stdin, unless that is a terminal. Raises ``InputError`` if it is no text."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():  # pyright: ignore[reportUnnecessaryComparison]
        return ""
    try:
        return _decoded(sys.stdin.buffer.read())
    except UnicodeDecodeError:
        raise InputError(
            "what comes on stdin is not UTF-8 text", "'-f -' attaches a picture or PDF from there."
        ) from None


def _under_its_name(path: Path, block: UserBlock) -> UserBlock:
    text = block.text if isinstance(block, Text) else ""
    end = "" if text.endswith("\n") else "\n"
    return Text(f'<file name="{path.name}">\n{text}{end}</file>')


def _joined(blocks: Sequence[UserBlock]) -> Iterator[UserBlock]:
    """Texts that stand side by side as one, with an empty line between them."""
    texts: list[str] = []
    for block in blocks:
        if isinstance(block, Text):
            texts.append(block.text)
            continue
        if texts:
            yield Text("\n\n".join(texts))
            texts = []
        yield block
    if texts:
        yield Text("\n\n".join(texts))
