"""Enough of the file formats to tell that a result is a whole picture."""

import struct

import requests


def is_jpeg(content: bytes) -> bool:
    return content.startswith(b"\xff\xd8\xff") and content.endswith(b"\xff\xd9")


def png_size(content: bytes) -> tuple[int, int]:
    assert content.startswith(b"\x89PNG\r\n\x1a\n"), content[:20]
    return struct.unpack(">II", content[16:24])


def fetch(url: str) -> bytes:
    """The file at `url`, read without a key, as a browser or another service would."""
    response = requests.get(url, timeout=30)
    assert response.status_code == 200, (response.status_code, response.text)
    return response.content
