"""The last official SDK that uploads in a form, unmodified, against a server.

Usage: check_1_0_8.py ADDRESS KEY PHOTO
"""

import sys

import wavespeed
from pictures import fetch, is_jpeg

ADDRESS, KEY, PHOTO = sys.argv[1:]
MODEL = "wavespeed-ai/flux-redux-dev"

assert wavespeed.__version__ == "1.0.8", wavespeed.__version__
client = wavespeed.Client(api_key=KEY, base_url=ADDRESS)

picture = client.upload(PHOTO)
with open(PHOTO, "rb") as file:
    assert fetch(picture) == file.read()

request = {"image": picture, "size": "256*256", "num_inference_steps": 2}
for sync in (False, True):
    outputs = client.run(MODEL, request, enable_sync_mode=sync, poll_interval=0.1)["outputs"]
    assert is_jpeg(fetch(outputs[0])), outputs

try:
    client.run(MODEL, {"image": picture, "size": "99*99"})
except RuntimeError as error:
    assert "HTTP 400" in str(error) and "size" in str(error), error
else:
    raise AssertionError("a size that is too small was accepted")
print("checks passed")
