"""The official SDK, unmodified, against a server.

Usage: check_2_0_5.py ADDRESS IMPATIENT_ADDRESS STRICT_ADDRESS KEY PHOTO

All servers run with --allow-private-networks, the second with --sync-timeout 1 too, the third with --safety-threshold 0.
"""

import base64
import json
import sys

import requests
import wavespeed
from neighbour import Neighbour
from pictures import fetch, is_jpeg, png_size
from webhook_signature import is_genuine

ADDRESS, IMPATIENT_ADDRESS, STRICT_ADDRESS, KEY, PHOTO = sys.argv[1:]
DEV, PRO, SRPO = "wavespeed-ai/flux-redux-dev", "wavespeed-ai/flux-redux-pro", "wavespeed-ai/flux-srpo/image-to-image"
SMALL = {"size": "256*256", "num_inference_steps": 2, "seed": 7}

with open(PHOTO, "rb") as file:
    PHOTO_BYTES = file.read()

client = wavespeed.Client(api_key=KEY, base_url=ADDRESS)


def call(method: str, path: str, address: str = ADDRESS, **arguments) -> dict:
    """The routes that the SDK has no function for."""
    headers = {"Authorization": f"Bearer {KEY}"}
    response = requests.request(method, f"{address}/api/v3/{path}", headers=headers, timeout=30, **arguments)
    assert response.status_code == 200, (path, response.status_code, response.text)
    envelope = response.json()
    assert (envelope["code"], envelope["message"]) == (200, "success"), envelope
    return envelope["data"]


def raised_by(work) -> RuntimeError:
    try:
        outcome = work()
    except RuntimeError as error:
        return error
    raise AssertionError(f"no exception, but {outcome}")


def upload_then_run_and_poll(_):
    picture = client.upload(PHOTO)
    assert fetch(picture) == PHOTO_BYTES
    outputs = client.run(DEV, {"image": picture, **SMALL}, poll_interval=0.1)["outputs"]
    assert len(outputs) == 1 and is_jpeg(fetch(outputs[0])), outputs


def upload_of_an_open_file(_):
    with open(PHOTO, "rb") as file:
        assert fetch(client.upload(file)) == PHOTO_BYTES


def upload_in_a_form(_):
    data = call("POST", "media/upload/binary", files={"file": ("lake.jpg", PHOTO_BYTES)})
    assert (data["type"], data["filename"], data["size"]) == ("image", "lake.jpg", len(PHOTO_BYTES)), data
    outputs = client.run(DEV, {"image": data["download_url"], **SMALL}, poll_interval=0.1)["outputs"]
    assert is_jpeg(fetch(outputs[0]))


def sync_mode_with_several_png(neighbour):
    request = {"image": f"{neighbour.address}/photo.jpg", "prompt": "at dusk", **SMALL}
    request |= {"size": "320*256", "num_images": 2, "output_format": "png"}
    outputs = client.run(PRO, request, enable_sync_mode=True)["outputs"]
    assert [png_size(fetch(url)) for url in outputs] == [(320, 256), (320, 256)]


def the_same_seed_gives_the_same_picture(_):
    request = {"image": base64.b64encode(PHOTO_BYTES).decode(), **SMALL, "seed": 0}
    first, second = (client.run(DEV, request, enable_sync_mode=True)["outputs"][0] for _ in range(2))
    assert first != second and fetch(first) == fetch(second)


def image_to_image_keeps_the_size(_):
    made = client.run(DEV, {"image": client.upload(PHOTO), **SMALL, "size": "256*320"}, enable_sync_mode=True)
    # A result is an input like any other.
    request = {"prompt": "in autumn", "image": made["outputs"][0], "strength": 0.9, "num_inference_steps": 2}
    outputs = client.run(SRPO, {**request, "output_format": "png"}, enable_sync_mode=True)["outputs"]
    assert png_size(fetch(outputs[0])) == (256, 320)


def base64_output(_):
    picture = "data:image/jpeg;base64," + base64.b64encode(PHOTO_BYTES).decode()
    request = {"image": picture, **SMALL, "enable_base64_output": True}
    for sync in (True, False):
        outputs = client.run(DEV, request, enable_sync_mode=sync, poll_interval=0.1)["outputs"]
        assert is_jpeg(base64.b64decode(outputs[0], validate=True))


def the_prediction_object(_):
    result = client.run_no_throw(DEV, {"image": client.upload(PHOTO), **SMALL}, poll_interval=0.1)
    assert (result["status"], result["error"]) == ("completed", None), result
    data = client.get_result(result["task_id"])["data"]
    assert data["id"] == result["task_id"] and data["model"] == DEV and data["status"] == "completed", data
    assert data["urls"]["get"] == f"{ADDRESS}/api/v3/predictions/{data['id']}/result", data
    assert data["input"]["seed"] == 7 and data["input"]["size"] == "256*256", data
    assert data["error"] == "" and data["has_nsfw_contents"] == [False], data
    assert isinstance(data["timings"]["inference"], int) and isinstance(data["executionTime"], int), data
    assert data["executionTime"] >= data["timings"]["inference"] > 0, data
    assert call("GET", f"predictions/{data['id']}") == data


def flags_are_booleans(_):
    for address, flag in [(ADDRESS, False), (STRICT_ADDRESS, True)]:
        server = wavespeed.Client(api_key=KEY, base_url=address)
        request = {"image": server.upload(PHOTO), **SMALL, "num_images": 2}
        result = server.run_no_throw(DEV, request, poll_interval=0.1)
        assert (result["status"], len(result["outputs"])) == ("completed", 2), result
        flags = server.get_result(result["task_id"])["data"]["has_nsfw_contents"]
        assert flags == [flag, flag] and all(type(each) is bool for each in flags), flags
        unchecked = server.run_no_throw(DEV, {**request, "enable_safety_checker": False}, poll_interval=0.1)
        assert server.get_result(unchecked["task_id"])["data"]["has_nsfw_contents"] == [False, False], unchecked


def webhook_is_signed(neighbour):
    secret = call("GET", "webhook/secret")["secret"]
    assert secret.startswith("whsec_"), secret
    request = {"image": client.upload(PHOTO), **SMALL}
    in_body = client.run_no_throw(DEV, {**request, "webhook_url": neighbour.address}, poll_interval=0.1)
    in_query = call("POST", DEV, params={"webhook": neighbour.address}, json=request)
    received = {}
    for _ in range(2):
        headers, body = neighbour.webhooks.get(timeout=30)
        assert headers["content-type"] == "application/json", headers
        assert is_genuine(headers, body, secret)
        assert not is_genuine(headers, body + b" ", secret) and not is_genuine(headers, body, secret + "x")
        prediction = json.loads(body)
        received[prediction["id"]] = prediction
    assert set(received) == {in_body["task_id"], in_query["id"]}, received
    for prediction in received.values():
        assert prediction["status"] == "completed" and "code" not in prediction, prediction
        assert is_jpeg(fetch(prediction["outputs"][0]))


def webhook_about_a_failure(neighbour):
    request = {"image": f"{neighbour.address}/text.jpg", **SMALL, "webhook_url": neighbour.address}
    failed = client.run_no_throw(DEV, request, poll_interval=0.1)
    headers, body = neighbour.webhooks.get(timeout=30)
    assert is_genuine(headers, body, call("GET", "webhook/secret")["secret"])
    prediction = json.loads(body)
    assert (prediction["id"], prediction["status"]) == (failed["task_id"], "failed"), prediction
    assert prediction["outputs"] == [] and prediction["error"], prediction


def a_failed_task_raises(neighbour):
    request = {"image": f"{neighbour.address}/text.jpg", **SMALL}
    error = raised_by(lambda: client.run(DEV, request, poll_interval=0.1))
    # The SDK's own class, a RuntimeError, has no public name.
    assert type(error).__module__.startswith("wavespeed."), type(error)
    assert str(error).startswith("Prediction failed (task_id: ") and "image" in str(error), error
    error = raised_by(lambda: client.run(DEV, request, enable_sync_mode=True))
    assert str(error).startswith("Prediction failed (task_id: "), error


def a_refused_request_raises(_):
    error = raised_by(lambda: client.run(DEV, {"image": client.upload(PHOTO), "size": "99*99"}))
    assert "HTTP 400" in str(error) and "size" in str(error), error
    assert "HTTP 400" in str(raised_by(lambda: client.run(PRO, {"prompt": "without a picture"})))
    assert "HTTP 404" in str(raised_by(lambda: client.run("wavespeed-ai/no-such-model", {})))


def a_wrong_key_is_refused(_):
    stranger = wavespeed.Client(api_key="some-other-key", base_url=ADDRESS)
    assert "HTTP 401" in str(raised_by(lambda: stranger.run(DEV, {"image": "x"})))
    assert "HTTP 401" in str(raised_by(lambda: stranger.upload(PHOTO)))


def list_and_delete(_):
    result = client.run_no_throw(DEV, {"image": client.upload(PHOTO), **SMALL}, poll_interval=0.1)
    page = call("POST", "predictions", json={"page": 1, "page_size": 5, "model": DEV, "status": "completed"})
    assert page["page"] == 1 and page["total"] >= 1 and len(page["items"]) <= 5, page
    assert page["items"][0]["id"] == result["task_id"], page
    deleted = call("POST", "predictions/delete", json={"ids": [result["task_id"]]})
    assert deleted["deleted_count"] == 1, deleted
    assert "HTTP 410" in str(raised_by(lambda: client.get_result(result["task_id"])))
    assert requests.get(result["outputs"][0], timeout=30).status_code in (404, 410)
    page = call("POST", "predictions", json={})
    assert result["task_id"] not in [item["id"] for item in page["items"]], page


def catalogue_price_and_balance(_):
    items = {item["model_id"]: item for item in call("GET", "models")}
    assert set(items) == {DEV, PRO, SRPO}, items
    schema = items[DEV]["api_schema"]["api_schemas"][0]
    assert schema["api_path"] == f"/api/v3/{DEV}" and schema["request_schema"]["required"] == ["image"], schema
    price = call("POST", "model/price", json={"model_id": DEV, "inputs": SMALL})
    assert price["price"] > 0 and price["currency"] == "USD", price
    assert call("GET", "balance")["balance"] > 0


def sync_mode_that_times_out(_):
    """Runs last: the long task is deleted, which stops it."""
    impatient = wavespeed.Client(api_key=KEY, base_url=IMPATIENT_ADDRESS)
    request = {"image": impatient.upload(PHOTO), "size": "1536*1536", "num_inference_steps": 50, "num_images": 4}
    result = impatient.run_no_throw(DEV, request, enable_sync_mode=True)
    assert result["status"] == "processing" and result["error"].startswith("Sync mode timed out"), result
    assert result["task_id"] != "unknown" and result["outputs"] is None, result
    status = impatient.get_result(result["task_id"])["data"]["status"]
    assert status in ("created", "processing"), status
    deleted = call("POST", "predictions/delete", IMPATIENT_ADDRESS, json={"ids": [result["task_id"]]})
    assert deleted["deleted_count"] == 1, deleted
    assert "HTTP 410" in str(raised_by(lambda: impatient.get_result(result["task_id"])))


CHECKS = [
    upload_then_run_and_poll,
    upload_of_an_open_file,
    upload_in_a_form,
    sync_mode_with_several_png,
    the_same_seed_gives_the_same_picture,
    image_to_image_keeps_the_size,
    base64_output,
    the_prediction_object,
    flags_are_booleans,
    webhook_is_signed,
    webhook_about_a_failure,
    a_failed_task_raises,
    a_refused_request_raises,
    a_wrong_key_is_refused,
    list_and_delete,
    catalogue_price_and_balance,
    sync_mode_that_times_out,
]

assert wavespeed.__version__ == "2.0.5", wavespeed.__version__
with Neighbour(PHOTO_BYTES) as neighbour:
    for check in CHECKS:
        print(check.__name__, flush=True)
        check(neighbour)
print(f"{len(CHECKS)} checks passed")
