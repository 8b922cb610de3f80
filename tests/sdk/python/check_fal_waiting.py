"""fal's SDK 1.0.3, unmodified, against a server where nothing is ever started: its time limits, and cancelling.

Usage: check_fal_waiting.py PICTURE; see check_fal.py for the environment.
"""

import asyncio
import inspect
import sys
import time
import warnings

import fal_client

MODEL = "fal-ai/flux-1/dev/redux"
ARGUMENTS = {"image_url": fal_client.encode_file(sys.argv[1]), "num_inference_steps": 1}


async def of(value):
    return await value if inspect.isawaitable(value) else value


async def check_cancel(client):
    first = await of(client.submit(MODEL, ARGUMENTS))
    second = await of(client.submit(MODEL, ARGUMENTS))
    ahead = [(await of(handle.status())).position for handle in (first, second)]
    assert ahead[1] == ahead[0] + 1, ahead
    await of(first.cancel())
    await of(client.cancel(MODEL, second.request_id))
    for handle in (first, second):
        status = await of(handle.status(with_logs=True))
        assert isinstance(status, fal_client.Completed) and status.error_type == "client_cancelled", status
        try:
            await of(handle.get())
        except fal_client.FalClientHTTPError as error:
            assert error.status_code == 499 and error.error_type == "client_cancelled", error
        else:
            raise AssertionError("a cancelled request has a result")


async def check_start_timeout(client):
    start = time.monotonic()
    try:
        await of(client.run(MODEL, ARGUMENTS, start_timeout=1.5))
    except fal_client.FalClientHTTPError as error:
        assert error.status_code == 504 and error.error_type == "request_timeout", error
        headers = error.response_headers
        assert headers["x-fal-request-timeout-type"] == "user" and headers["x-fal-error-type"] == "request_timeout"
        assert headers["x-fal-request-id"]
    else:
        raise AssertionError("no error")
    # The SDK repeats what is worth it up to ten times; this is not.
    assert time.monotonic() - start < 20, "repeated"


async def check_client_timeout(client):
    ids = []
    try:
        await of(client.subscribe(MODEL, ARGUMENTS, client_timeout=2, start_timeout=30, on_enqueue=ids.append))
    except fal_client.FalClientTimeoutError as error:
        assert isinstance(error, TimeoutError) and error.timeout == 2 and [error.request_id] == ids, error
    else:
        raise AssertionError("no error")
    status = await of(client.status(MODEL, ids[0]))
    assert isinstance(status, fal_client.Completed) and status.error_type == "client_cancelled", status


async def main():
    for client in [fal_client.SyncClient(), fal_client.AsyncClient()]:
        await check_cancel(client)
        await check_start_timeout(client)
        # It warns that the request may outlive the client's patience, which is the point.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            await check_client_timeout(client)
    print("checks passed")


asyncio.run(main())
