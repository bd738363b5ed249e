"""Pictures, sound and documents: what every dialect settles before it writes one.

``checked`` is the one place where a block that a target can't take is refused: with the place of
the block, and what to do. A ``File`` whose media type begins with "audio/" is sound.
"""

from base64 import b64decode
from collections.abc import Callable, Collection
from mimetypes import guess_type
from typing import Literal, TypeAlias, TypeVar

import msgspec

from polyvox.dialects.base import Target
from polyvox.dialects.data_urls import read_data_url
from polyvox.errors import BadRequestError
from polyvox.media_types import sniff_media_type
from polyvox.messages import File, Image

__all__ = [
    "Media",
    "audio_format",
    "checked",
    "file_name",
    "is_audio",
    "on_the_web",
    "read_audio",
    "url_type",
    "with_bytes",
]

Kind: TypeAlias = Literal["image", "audio", "file"]
Media: TypeAlias = Image | File
_MediaT = TypeVar("_MediaT", bound=Media)

_FORMATS = {
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/aac": "aac",
    "audio/aiff": "aiff",
    "audio/flac": "flac",
    "audio/mp4": "m4a",
    "audio/ogg": "ogg",
    "audio/webm": "webm",
}
"""Media types of sound, and the word that OpenAI's formats have for each."""
_TYPES = {word: media_type for media_type, word in _FORMATS.items()}
_OTHER_NAMES = {"wave": "wav", "vnd.wave": "wav", "mp3": "mpeg", "m4a": "mp4"}
_SOME_SOUND = "audio/*"
_FILE_NAMES = {"application/pdf": "document.pdf", "text/plain": "document.txt"}

_REFUSALS: dict[Kind, tuple[str, str]] = {
    "image": ("pictures", "Describe it in words, or ask a model that sees."),
    "audio": ("sound", "Pass a transcript, or ask a model that hears."),
    "file": ("files", "Pass what is in it as text, or its pages as pictures."),
}


def on_the_web(block: Media) -> bool:
    """Whether the block is given by an address that must be fetched by somebody."""
    return (block.url or "").lower().startswith(("https://", "http://"))


def url_type(url: str) -> str:
    """The media type that a URL's ending tells, or "".

    >>> url_type("https://a.example/cat.png?size=9")
    'image/png'
    """
    return guess_type(url.partition("?")[0])[0] or ""


def is_audio(block: Media) -> bool:
    """Whether this is sound; an address may tell it by its ending."""
    told = block.media_type or (url_type(block.url) if block.url and on_the_web(block) else "")
    if isinstance(block, File) and (block.url or "").startswith("data:audio/"):
        return True
    return isinstance(block, File) and told.startswith("audio/")


def checked(
    block: Media,
    path: str,
    target: Target,
    takes_url: Callable[[Media, Target], bool],
    *,
    never: Collection[Kind] = (),
) -> None:
    """Raises ``BadRequestError``, which names ``path``, for a block that this target can't take.

    ``never`` are the kinds for which the dialect has no place, whoever speaks it.
    """
    quirks = target.quirks
    kind: Kind = "audio" if is_audio(block) else "image" if isinstance(block, Image) else "file"
    taken = {"image": quirks.images, "audio": bool(quirks.audio), "file": quirks.files}
    what, instead = _REFUSALS[kind]
    if kind in never or not taken[kind]:
        raise BadRequestError(f"{path}: {target.producer} takes no {what}", hint=instead)
    if block.url is None or block.url.startswith("data:") or takes_url(block, target):
        return
    name = type(block).__name__
    if not on_the_web(block):
        text = f"{path}.url: {what} can't be fetched from {block.url[:80]!r}"
        raise BadRequestError(text, hint=f"Pass the bytes, {name}(data=...), or an https URL.")
    raise BadRequestError(
        f"{path}.url: {target.provider} does not fetch this from a URL",
        hint=f"Pass the bytes, {name}(data=...), or let the client fetch it: fetch=UrlFetch().",
    )


def with_bytes(block: _MediaT, path: str) -> _MediaT:
    """The block with its bytes, where a data URL holds them."""
    if block.url is None or not block.url.startswith("data:"):
        return block
    media_type, data = read_data_url(block.url, f"{path}.url")
    return msgspec.structs.replace(
        block, data=data, url=None, media_type=media_type or block.media_type
    )


def file_name(file: File) -> str:
    """The file's name, or one that tells its kind, for formats that want one."""
    return file.name or _FILE_NAMES.get(file.media_type, "document")


def audio_format(media_type: str) -> str:
    """The word for this kind of sound, such as "mp3" for "audio/mpeg"; else its own last part.

    >>> audio_format("audio/mpeg"), audio_format("audio/x-wav"), audio_format("audio/basic")
    ('mp3', 'wav', 'basic')
    """
    part = media_type.partition(";")[0].lower().removeprefix("audio/").removeprefix("x-")
    part = _OTHER_NAMES.get(part, part)
    return _FORMATS.get(f"audio/{part}", part)


def read_audio(sound: str, word: str, path: str) -> File:
    """Sound out of base64, or its address; ``word`` tells its format, if anything does.

    Raises ``BadRequestError``, which names ``path``, if it is neither.
    """
    told = _TYPES.get(word, f"audio/{word}") if word else ""
    if sound.startswith(("https://", "http://")):
        return File(url=sound, media_type=told or url_type(sound) or _SOME_SOUND)
    try:
        data = b64decode(sound, validate=True)
    except ValueError:
        raise BadRequestError(f"{path}: is no sound in base64") from None
    return File(data, media_type=told or sniff_media_type(data) or _SOME_SOUND)
