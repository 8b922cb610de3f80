"""fal's SDK 1.0.3, unmodified, against a server whose safety checker flags every picture.

Usage: check_fal_flagged.py PICTURE; see check_fal.py for the environment.
"""

import asyncio
import inspect
import io
import sys

import fal_client
import httpx
from PIL import Image

MODEL = "fal-ai/flux-1/dev/redux"
ARGUMENTS = {
    "image_url": fal_client.encode_file(sys.argv[1]),
    "image_size": {"width": 64, "height": 48},
    "num_inference_steps": 1,
    "num_images": 2,
    "seed": 7,
    "output_format": "png",
}


async def of(value):
    return await value if inspect.isawaitable(value) else value


def are_black(result):
    pictures = [Image.open(io.BytesIO(httpx.get(image["url"]).content)) for image in result["images"]]
    assert [picture.size for picture in pictures] == [(64, 48), (64, 48)], pictures
    return [picture.convert("RGB").getextrema() == ((0, 0),) * 3 for picture in pictures]


async def check(client):
    unchecked = await of(client.run(MODEL, {**ARGUMENTS, "enable_safety_checker": False}))
    assert unchecked["has_nsfw_concepts"] == [False, False] == are_black(unchecked), unchecked
    handle = await of(client.submit(MODEL, ARGUMENTS))
    for flagged in [await of(client.run(MODEL, ARGUMENTS)), await of(handle.get())]:
        flags = flagged["has_nsfw_concepts"]
        assert flags == [True, True] and all(type(flag) is bool for flag in flags), flagged
        assert are_black(flagged) == [True, True], flagged


async def main():
    for client in [fal_client.SyncClient(), fal_client.AsyncClient()]:
        await check(client)
    print("checks passed")


asyncio.run(main())
