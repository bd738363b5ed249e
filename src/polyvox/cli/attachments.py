"""The prompt out of what was given: arguments, files, stdin."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from polyvox.cli.options import InputError
from polyvox.messages import File, Image, Text, UserBlock, sniff_media_type

__all__ = ["gather_prompt", "read_block"]

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
    piped = "" if Path("-") in files else _piped_text()
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
    """A file as a block: text, a picture or a PDF; "-" is stdin.

    Raises ``InputError`` if it can't be read or is none of these.
    """
    try:
        data = sys.stdin.buffer.read() if path == Path("-") else path.read_bytes()
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from None
    media_type = sniff_media_type(data)
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
            f"{path} is neither text nor a picture (PNG, JPEG, GIF, WebP) or PDF"
        ) from None


def _decoded(data: bytes) -> str:
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    text = data.decode(encoding)
    if "\x00" in text:
        raise UnicodeDecodeError(encoding, data, 0, 1, "binary")
    return text


def _piped_text() -> str:
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
