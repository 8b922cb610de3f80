"""OpenAI's SDK 3.52.0, unmodified, against a server: variations, edits and models under both bases, and its exceptions.

Usage: check_openai.py ADDRESS STRICT_ADDRESS KEY PICTURE; the first server has a LoRA called film, the second one runs with
--safety-threshold 0.
"""

import base64
import json
import struct
import sys
import time
import urllib.request
import warnings
import zlib

import openai

ADDRESS, STRICT_ADDRESS, KEY, PICTURE = sys.argv[1:]
MODEL = "black-forest-labs/FLUX-1-Redux-dev"
PNG = b"\x89PNG\r\n\x1a\n"

# The service that the SDK was made for retired variations; this server is why one still calls them.
warnings.simplefilter("ignore", DeprecationWarning)


def check_pictures(client, by_address):
    def of(answer):
        if by_address:
            assert all(item.b64_json is None for item in answer.data), answer
            return [urllib.request.urlopen(item.url).read() for item in answer.data]
        assert all(item.url is None for item in answer.data), "an address that nobody asked for"
        return [base64.b64decode(item.b64_json) for item in answer.data]

    with open(PICTURE, "rb") as picture:
        answer = client.images.create_variation(
            image=picture, model=MODEL, n=2, size="256x256", extra_body={"seed": 7, "num_inference_steps": 1}
        )
    assert answer._request_id and abs(answer.created - time.time()) < 60, answer
    pictures = of(answer)
    assert len(pictures) == 2 and pictures[0] != pictures[1]
    assert all(picture.startswith(PNG) for picture in pictures)

    # A picture as bytes comes without a type, and in a list under another name.
    edited = of(client.images.edit(image=[pictures[0]], prompt="a lake", extra_body={"num_inference_steps": 2}))
    assert len(edited) == 1 and edited[0].startswith(PNG)
    return pictures


def mask_of(width, height, is_clear):
    """A PNG that is transparent where `is_clear` says so, else opaque."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"".join(b"\0\0\0\0" if is_clear(x) else b"\0\0\0\xff" for x in range(width)) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return PNG + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"".join(rows))) + chunk(b"IEND", b"")


def pixels_of(png):
    """The rows of an RGB file as bytes."""
    width, height = struct.unpack(">II", png[16:24])
    assert png[24:26] == b"\x08\x02", "8-bit RGB"
    data, at = b"", 8
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        data += png[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    raw, stride = zlib.decompress(data), 3 * width
    rows, before = [], bytearray(stride)
    for y in range(height):
        start = y * (stride + 1)
        kind, row = raw[start], bytearray(raw[start + 1 : start + 1 + stride])
        for i in range(stride):
            left, above, corner = row[i - 3] if i >= 3 else 0, before[i], before[i - 3] if i >= 3 else 0
            nearest = min((left, above, corner), key=lambda value: abs(left + above - corner - value))
            row[i] = (row[i] + (0, left, above, (left + above) // 2, nearest)[kind]) % 256
        rows.append(bytes(row))
        before = row
    return rows


def check_masks(client, picture):
    """What is opaque in the mask stays to the pixel, and the rest changes."""
    mask = mask_of(256, 256, lambda x: x >= 128)
    body = {"num_inference_steps": 2, "response_format": "b64_json"}
    answer = client.images.edit(image=picture, mask=mask, prompt="red", extra_body=body)
    before, after = pixels_of(picture), pixels_of(base64.b64decode(answer.data[0].b64_json))
    half = 3 * 128
    assert all(a[:half] == b[:half] for a, b in zip(before, after, strict=True)), "the outside changed"
    assert any(a[half:] != b[half:] for a, b in zip(before, after, strict=True)), "nothing was painted"


def check_loras(client, picture):
    def edited(**more):
        body = {"num_inference_steps": 2, "seed": 3, "response_format": "b64_json", **more}
        answer = client.images.edit(image=picture, prompt="a lake", extra_body=body)
        return base64.b64decode(answer.data[0].b64_json)

    without = edited()
    with_film = edited(loras=json.dumps([{"path": "film", "scale": 2}]))
    assert with_film.startswith(PNG) and with_film != without
    assert edited(loras="[]") == without, "it leaks into the next picture"
    # A list is split up by the SDK; it must not be lost.
    for loras, param in [([{"path": "film"}], "loras"), (json.dumps([{"path": "other"}]), "loras[0].path")]:
        try:
            edited(loras=loras)
        except openai.BadRequestError as error:
            assert error.param == param and ("JSON text" in error.message or "there are film" in error.message), error
        else:
            raise AssertionError(f"{loras}: no error")


def check_stream(client, picture):
    begun = time.time()
    stream = client.images.edit(
        image=picture,
        prompt="a lake",
        stream=True,
        partial_images=3,
        extra_body={"num_inference_steps": 50, "seed": 1},
    )
    events = list(stream)
    assert all(event.type == "image_edit.partial_image" for event in events[:-1]), events
    assert [event.partial_image_index for event in events[:-1]] == list(range(len(events) - 1))
    assert 1 <= len(events) - 1 <= 3, f"{len(events) - 1} previews"
    last = events[-1]
    assert last.type == "image_edit.completed" and last.size == "256x256" and last.usage.total_tokens == 0, last.type
    for event in events:
        assert event.output_format == "png" and base64.b64decode(event.b64_json).startswith(PNG)
        assert begun - 2 < event.created_at < time.time() + 2, event.created_at

    # An address instead of a file is fetched by the worker, when the stream has begun: the error is an event, which
    # the SDK raises and does not answer by repeating the request.
    address = (None, b"http://no-such-host.invalid/a.png")
    stream = client.images.edit(image=address, prompt="x", stream=True)
    try:
        list(stream)
    except openai.APIError as error:
        assert not isinstance(error, openai.APIStatusError) and "image: " in error.message, error
        assert error.param == "image" and error.type == "invalid_request_error", error
    else:
        raise AssertionError("a picture that cannot be fetched: no error")


def check_errors(client, picture):
    for kind, param, call in [
        (openai.BadRequestError, "n", lambda: client.images.create_variation(image=picture, n=9)),
        (openai.BadRequestError, "image", lambda: client.images.edit(image=[picture, picture], prompt="x")),
        (openai.BadRequestError, "mask", lambda: client.images.edit(image=picture, mask=picture, prompt="x")),
        (openai.BadRequestError, "n", lambda: client.images.edit(image=picture, prompt="x", n=2, stream=True)),
        (openai.BadRequestError, "partial_images", lambda: client.images.edit(image=picture, prompt="x", partial_images=1)),
        (openai.NotFoundError, "model", lambda: client.images.create_variation(image=picture, model="dall-e-2")),
        (openai.NotFoundError, None, lambda: client.images.generate(prompt="x")),
    ]:
        try:
            call()
        except kind as error:
            assert error.param == param and error.type == "invalid_request_error", error
            assert param is None or param in error.message, error.message
        else:
            raise AssertionError(f"{param}: no error")


def check_blocked(client):
    """What is flagged is an error, which the SDK does not answer by repeating the request."""
    with open(PICTURE, "rb") as file:
        picture = file.read()
    more = {"num_inference_steps": 1}
    for kind, call in [
        (openai.BadRequestError, lambda: client.images.create_variation(image=picture, n=2, size="256x256", extra_body=more)),
        (openai.BadRequestError, lambda: client.images.edit(image=picture, prompt="a lake", extra_body=more)),
        (openai.APIError, lambda: list(client.images.edit(image=picture, prompt="a lake", stream=True, extra_body=more))),
    ]:
        try:
            call()
        except kind as error:
            assert (error.code, error.type) == ("moderation_blocked", "image_generation_user_error"), error
            assert error.param is None and "safety system" in error.message, error
        else:
            raise AssertionError("what is flagged is shown")


def main():
    made = []
    for base, by_address in [("/v1/openai", False), ("/v1", True)]:
        client = openai.OpenAI(base_url=ADDRESS + base, api_key=KEY)
        assert [model.id for model in client.models.list()] == [MODEL]
        assert client.models.retrieve(MODEL).id == MODEL
        made.append(check_pictures(client, by_address))
        check_loras(client, made[-1][0])
        check_masks(client, made[-1][0])
        check_stream(client, made[-1][0])
        check_errors(client, made[-1][0])
    assert made[0] == made[1], "the same seed makes the same pictures"
    for base in ["/v1/openai", "/v1"]:
        check_blocked(openai.OpenAI(base_url=STRICT_ADDRESS + base, api_key=KEY))
    try:
        openai.OpenAI(base_url=ADDRESS + "/v1", api_key="a-wrong-key").models.list()
    except openai.AuthenticationError as error:
        assert error.code == "invalid_api_key", error
    else:
        raise AssertionError("a wrong key works")
    print("checks passed")


main()
