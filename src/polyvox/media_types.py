"""What kind of file some bytes are, as their beginning tells."""

__all__ = ["sniff_media_type"]

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_FRAMES: dict[bytes, str] = {
    **dict.fromkeys((b"\xfb", b"\xfa", b"\xf3", b"\xf2", b"\xe3", b"\xe2"), "audio/mpeg"),
    **dict.fromkeys((b"\xf1", b"\xf0", b"\xf9", b"\xf8"), "audio/aac"),
}
"""The second byte of a frame of MPEG audio, layer III, and of AAC (ADTS); the first is 0xFF."""


def sniff_media_type(data: bytes) -> str:
    """The media type that the first bytes of a file tell, or "" if they tell none.

    Pictures (PNG, JPEG, GIF, WebP), PDF and sound (WAV, MP3, AAC, Ogg, FLAC, M4A, WebM).

    >>> sniff_media_type(b"RIFF....WAVE"), sniff_media_type(b"hello")
    ('audio/wav', '')
    """
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12], "")
    if data[4:8] == b"ftyp":
        return "audio/mp4" if data[8:12] in (b"M4A ", b"M4B ") else ""
    if data[:4] == b"\x1a\x45\xdf\xa3":  # pictures that move begin the same
        head = data[:4096]
        return "audio/webm" if b"webm" in head and b"A_" in head and b"V_" not in head else ""
    if data[:1] == b"\xff" and (frame := _FRAMES.get(data[1:2])):
        return frame
    return next((media_type for magic, media_type in _MAGIC if data.startswith(magic)), "")
