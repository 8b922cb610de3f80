"""The Model Context Protocol's SDK 2.3.0, unmodified, against a server: over HTTP and through the program that assistants
start, in the protocol's newest version and in those that begin with a handshake.

Usage: check_mcp.py ADDRESS IDLE_ADDRESS KEY PROGRAM PICTURE; on the second server every task waits for ever.
"""

import asyncio
import base64
import re
import sys
import urllib.request
from contextlib import asynccontextmanager

from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

ADDRESS, IDLE_ADDRESS, KEY, PROGRAM, PICTURE = sys.argv[1:]
NAMES = ["vary_picture", "reshape_picture", "watch_task", "cancel_task", "list_tasks"]
PNG = b"\x89PNG\r\n\x1a\n"

with open(PICTURE, "rb") as file:
    IMAGE = "data:image/jpeg;base64," + base64.b64encode(file.read()).decode()
SETTINGS = {"image": IMAGE, "size": "256*256", "num_inference_steps": 4, "seed": 7, "num_images": 2, "output_format": "png"}


@asynccontextmanager
async def over_http(address, mode, key=KEY):
    async with create_mcp_http_client(headers={"Authorization": f"Bearer {key}"}) as http:
        async with Client(streamable_http_client(f"{address}/mcp", http_client=http), mode=mode) as client:
            yield client


@asynccontextmanager
async def by_program(address, mode, key=KEY):
    program = StdioServerParameters(command=PROGRAM, args=["mcp", "--url", address], env={"AFTERIMAGE_API_KEY": key})
    async with Client(program, mode=mode) as client:
        yield client


def text(result, is_error=False):
    assert bool(result.is_error) == is_error, result.content[0]
    assert result.content[0].type == "text", result.content[0]
    return result.content[0].text


def pictures(result):
    images = [item for item in result.content if item.type == "image"]
    assert all(image.mime_type == "image/png" for image in images)
    files = [base64.b64decode(image.data) for image in images]
    assert all(file.startswith(PNG) for file in files)
    return files


async def check_pictures(client):
    """Made while the client hears how far it is, found again, and made into another one."""
    told = []

    async def hear(progress, total, message):
        told.append((progress, total, message))

    made = await client.call_tool("vary_picture", SETTINGS, progress_callback=hear)
    task = re.match(r"Task (\S+) is completed: 2 pictures of 256x256, seed 7, ", text(made))
    assert task, text(made)
    files = pictures(made)
    assert len(files) == 2 and files[0] != files[1]
    assert told and all(message for _, _, message in told), told
    assert all(before[0] < after[0] for before, after in zip(told, told[1:])), told
    links = re.findall(r"\nPicture \d: (\S+)", text(made))
    assert [urllib.request.urlopen(link).read() for link in links] == files
    watched = await client.call_tool("watch_task", {"task_id": task[1]})
    assert pictures(watched) == files
    settings = {"image": links[0], "prompt": "a lake", "num_inference_steps": 2, "output_format": "png", "pictures": "links"}
    reshaped = await client.call_tool("reshape_picture", settings)
    assert pictures(reshaped) == [] and "Picture 1: http" in text(reshaped)


async def check_refusals(client):
    """What is wrong is for the model to read; a tool that is not there is not."""
    refused = await client.call_tool("vary_picture", {**SETTINGS, "size": "1*1"})
    assert text(refused, True).startswith("size: 1x1 is out of range; expected "), text(refused, True)
    try:
        await client.call_tool("inpaint", {})
    except MCPError as error:
        assert error.code == -32602 and "vary_picture" in error.message, error
    else:
        raise AssertionError("no error")


async def check_waiting(client):
    """A task that waits is told its place, listed and cancelled."""
    begun = text(await client.call_tool("vary_picture", {**SETTINGS, "wait_seconds": 0}))
    task = re.match(r"Task (\S+) waits: it is the next\.", begun)
    assert task, begun
    assert f"{task[1]}: created" in text(await client.call_tool("list_tasks", {}))
    stopped = await client.call_tool("cancel_task", {"task_id": task[1]})
    assert text(stopped) == f"Task {task[1]} was cancelled.", text(stopped)


async def check_giving_up(client):
    """Whoever gives up waiting for a task cancels it."""
    waiting = asyncio.create_task(client.call_tool("reshape_picture", {"prompt": "a lake"}))
    # Real time: it comes to wait when it does.
    while "a lake" not in (listed := text(await client.call_tool("list_tasks", {"status": "created"}))):
        await asyncio.sleep(0.05)
    waiting.cancel()
    task = listed.splitlines()[1].split(":")[0]
    watched = await client.call_tool("watch_task", {"task_id": task, "wait_seconds": 20})
    assert text(watched) == f"Task {task} was cancelled.", text(watched)


async def check(connect, mode, version):
    async with connect(ADDRESS, mode) as client:
        assert client.protocol_version == version, client.protocol_version
        assert client.server_info.name == "afterimage" and "watch_task" in client.instructions
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == NAMES, tools
        assert tools[0].input_schema["required"] == ["image"]
        await check_pictures(client)
        await check_refusals(client)
    async with connect(IDLE_ADDRESS, mode) as client:
        await check_waiting(client)
        # Over HTTP a connection that closes says so, which the protocol has only since then.
        if connect is by_program or mode == "auto":
            await check_giving_up(client)


async def check_keys():
    for connect in [over_http, by_program]:
        try:
            async with connect(ADDRESS, "auto", key="wrong-key"):
                pass
        except Exception as error:
            # Tasks that fail together do so in groups.
            while not isinstance(error, MCPError):
                error = error.exceptions[0]
            assert "unknown key" in error.message, error
        else:
            raise AssertionError(f"{connect.__name__}: no error")


async def main():
    for connect in [over_http, by_program]:
        await check(connect, "auto", "2026-07-28")
        await check(connect, "legacy", "2025-11-25")
    await check_keys()


asyncio.run(main())
print("checks passed")
