"""fal's SDK 1.0.3, unmodified, against a server with TLS: every call of both clients, uploads, and its exceptions.

Usage: check_fal.py PICTURE

Everything else comes from the SDK's own environment variables: FAL_KEY, FAL_RUN_HOST, FAL_QUEUE_RUN_HOST, and
SSL_CERT_FILE of its HTTP library.
"""

import asyncio
import inspect
import logging
import os
import sys
import time
import urllib.parse

import fal_client
import httpx
import httpx_sse
from PIL import Image

PICTURE = sys.argv[1]
MODEL = "fal-ai/flux-1/dev/redux"
ADDRESS = f"https://{os.environ['FAL_RUN_HOST']}"

# The SDK warns when it tries its second way of uploading, which some checks provoke.
logging.disable(logging.WARNING)

# Uploads go to two addresses that no variable changes.
fal_client.client.REST_URL = ADDRESS
fal_client.client.CDN_URL = ADDRESS


async def of(value):
    """What `value` is, or what it comes to: both clients have the same calls."""
    return await value if inspect.isawaitable(value) else value


async def items(source):
    if hasattr(source, "__aiter__"):
        return [item async for item in source]
    return list(source)


def arguments(image_url, **more):
    size = {"width": 64, "height": 48}
    basis = {"image_url": image_url, "image_size": size, "num_inference_steps": 2, "seed": 7, "output_format": "png"}
    return {**basis, **more}


def picture_of(result):
    (image,) = result["images"]
    assert (image["width"], image["height"], image["content_type"]) == (64, 48, "image/png"), image
    response = httpx.get(image["url"])
    assert response.status_code == 200 and len(response.content) == image["file_size"], image
    assert response.content.startswith(b"\x89PNG\r\n\x1a\n")
    return response.content


async def refused(status, call):
    try:
        await of(call())
    except fal_client.FalClientHTTPError as error:
        assert error.status_code == status == error.response.status_code, error
        assert error.response_headers == dict(error.response.headers)
        return error
    raise AssertionError(f"no {status}")


async def check_run(client):
    result = await of(client.run(MODEL, arguments(fal_client.encode_file(PICTURE)), start_timeout=60, hint="a"))
    assert result["seed"] == 7 and result["has_nsfw_concepts"] == [False] and result["prompt"] == "", result
    assert type(result["has_nsfw_concepts"][0]) is bool, result
    assert result["timings"]["inference"] > 0, result
    picture = picture_of(result)

    with open(PICTURE, "rb") as file:
        encoded = fal_client.encode(file.read(), "image/jpeg")
    inline = await of(client.run(MODEL, arguments(encoded, sync_mode=True)))
    assert inline["images"][0]["url"].startswith("data:image/png;base64,")
    by_path = await of(client.run("fal-ai/flux-1", arguments(encoded), path="/dev/redux"))
    assert picture_of(by_path) == picture, "the same seed makes the same picture"
    with Image.open(PICTURE) as image:
        await of(client.run(MODEL, arguments(fal_client.encode_image(image, "png"))))
    return picture


async def check_queue(client, picture):
    url = fal_client.encode_file(PICTURE)
    handle = await of(client.submit(MODEL, arguments(url), priority="low", headers={"X-Fal-No-Retry": "1"}))
    assert handle.status_url == f"{ADDRESS}/queue/fal-ai/flux-1/requests/{handle.request_id}/status", handle.status_url
    events = await items(handle.iter_events(with_logs=True, interval=0.01))
    for event in events[:-1]:
        waiting = isinstance(event, fal_client.Queued) and event.position >= 0
        assert waiting or isinstance(event, fal_client.InProgress) and isinstance(event.logs, list), event
    last = events[-1]
    assert isinstance(last, fal_client.Completed) and last.error is None and last.error_type is None, last
    assert last.metrics["inference_time"] > 0, last
    assert "step 2 of 2" in [line["message"] for line in last.logs], last
    assert all(line["level"] == "INFO" and line["timestamp"].endswith("+00:00") for line in last.logs), last
    assert picture_of(await of(handle.get())) == picture
    # The same by id.
    again = await of(client.status(MODEL, handle.request_id))
    assert isinstance(again, fal_client.Completed) and again.logs is None, again
    assert picture_of(await of(client.result(MODEL, handle.request_id))) == picture
    error = await refused(400, lambda: client.cancel(MODEL, handle.request_id))
    assert "ALREADY_COMPLETED" in error.message and error.response_headers["x-fal-request-id"] == handle.request_id

    seen, ids = [], []
    result = await of(
        client.subscribe(
            MODEL,
            arguments(url),
            with_logs=True,
            interval=0.01,
            on_enqueue=ids.append,
            on_queue_update=seen.append,
            client_timeout=60,
        )
    )
    assert picture_of(result) == picture and len(ids) == 1
    assert isinstance(seen[-1], fal_client.Completed) and seen[-1].logs, seen
    assert picture_of(await of(client.subscribe(MODEL, arguments(url)))) == picture


async def check_stream(client, picture):
    url = fal_client.encode_file(PICTURE)
    events = await items(client.stream(MODEL, arguments(url)))
    assert {"images": [], "progress": {"step": 2, "total": 2}} in events, events
    assert picture_of(events[-1]) == picture
    # The SDK does not look at the status of a stream; this is what its users see.
    try:
        await items(client.stream(MODEL, arguments(url, num_images=9)))
    except httpx_sse.SSEError as error:
        assert "application/json" in str(error), error
    else:
        raise AssertionError("no error")


async def check_errors(client, another):
    url = fal_client.encode_file(PICTURE)
    calls = [client.run, client.submit]
    for call in calls:
        error = await refused(422, lambda: call(MODEL, arguments(url, num_images=9)))
        (problem,) = error.message
        assert problem["loc"] == ["body", "num_images"] and problem["type"] == "less_than_equal", problem
        assert error.error_type is None and error.response_headers["x-fal-billable-units"] == "0", error
        assert error.response_headers["x-fal-retryable"] == "false", error
        error = await refused(404, lambda: call("fal-ai/flux-1/dev/unknown", arguments(url)))
        assert MODEL in error.message, error
    assert "key" in (await refused(401, lambda: another.run(MODEL, arguments(url)))).message
    error = await refused(400, lambda: client.run(MODEL, [1]))
    assert error.error_type == "bad_request" == error.response_headers["x-fal-error-type"], error
    for call in [client.status, client.result, client.cancel]:
        await refused(404, lambda: call(MODEL, "6d0b8a0e-7d36-4b83-9d0d-0b7f2a3c9e11"))

    # Known to fail only when a worker fetches the picture: the result repeats what the synchronous form says.
    missing = arguments("http://no-such-host.invalid/a.png")
    handle = await of(client.submit(MODEL, missing))
    last = (await items(handle.iter_events()))[-1]
    assert last.error_type == "file_download_error" and last.error.startswith("image_url: "), last
    for call in [handle.get, lambda: client.run(MODEL, missing)]:
        (problem,) = (await refused(422, call)).message
        assert problem["loc"] == ["body", "image_url"] and problem["type"] == "file_download_error", problem


async def check_uploads(client, picture):
    with open(PICTURE, "rb") as file:
        content = file.read()
    hour = fal_client.StorageSettings(expires_in="1h")
    addresses = [
        await of(client.upload(content, "image/jpeg")),
        await of(client.upload(content, "image/jpeg", "lake.jpg", lifecycle=hour)),
        await of(client.upload(content, "image/jpeg", "lake.jpg", repository="fal")),
        await of(client.upload_file(PICTURE)),
        await of(client.upload_file(PICTURE, repository="fal", lifecycle=hour)),
    ]
    for address in addresses:
        assert address.startswith(ADDRESS) and httpx.get(address).content == content, address
        assert picture_of(await of(client.run(MODEL, arguments(address)))) == picture
    for address in [addresses[1], addresses[4]]:
        (expires,) = urllib.parse.parse_qs(urllib.parse.urlsplit(address).query)["expires"]
        assert 3000 < int(expires) - time.time() <= 3600, address
    with Image.open(PICTURE) as image:
        address = await of(client.upload_image(image, "png"))
    assert httpx.get(address).headers["content-type"] == "image/png"

    # Both ways of uploading say why.
    for repository in ["fal_v3", "fal"]:
        call = lambda: client.upload(b"no picture", "image/png", repository=repository, fallback_repository=repository)
        assert (await refused(400, call)).message.startswith("file: ")
    # The SDK cuts larger files into parts; no picture may be that large.
    large = bytes(fal_client.client.MULTIPART_THRESHOLD + 1)
    assert "more than 50 MB" in (await refused(400, lambda: client.upload(large, "image/png"))).message
    await check_parts(client, content, picture)


async def check_parts(client, content, picture):
    """Smaller limits than the SDK's own make it cut the picture."""
    module = fal_client.client
    before = module.MULTIPART_THRESHOLD, module.MULTIPART_CHUNK_SIZE
    module.MULTIPART_THRESHOLD, module.MULTIPART_CHUNK_SIZE = 1000, len(content) // 7
    try:
        hour = fal_client.StorageSettings(expires_in="1h")
        addresses = [
            await of(client.upload(content, "image/jpeg", "lake.jpg", lifecycle=hour)),
            await of(client.upload_file(PICTURE)),
        ]
        for address in addresses:
            assert address.startswith(ADDRESS) and httpx.get(address).content == content, address
            assert picture_of(await of(client.run(MODEL, arguments(address)))) == picture
        error = await refused(400, lambda: client.upload(b"no picture" * 1000, "image/png"))
        assert error.message.startswith("file: "), error
    finally:
        module.MULTIPART_THRESHOLD, module.MULTIPART_CHUNK_SIZE = before


async def main():
    for client, another in [
        (fal_client.SyncClient(), fal_client.SyncClient(key="a-wrong-key")),
        (fal_client.AsyncClient(), fal_client.AsyncClient(key="a-wrong-key")),
    ]:
        picture = await check_run(client)
        await check_queue(client, picture)
        await check_stream(client, picture)
        await check_errors(client, another)
        await check_uploads(client, picture)
    # What most programs call.
    assert fal_client.run(MODEL, arguments(fal_client.encode_file(PICTURE)))["seed"] == 7
    assert (await fal_client.subscribe_async(MODEL, arguments(fal_client.encode_file(PICTURE))))["seed"] == 7
    print("checks passed")


asyncio.run(main())
