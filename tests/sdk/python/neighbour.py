"""A web server beside the one under test: it has a picture and a text to fetch, and takes webhooks."""

import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Neighbour:
    """Runs as a context manager; `webhooks` receives (headers, body) of every POST."""

    def __init__(self, picture: bytes):
        self.webhooks: queue.Queue = queue.Queue()
        neighbour = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                content_type, body = {
                    "/photo.jpg": ("image/jpeg", picture),
                    "/text.jpg": ("image/jpeg", b"this is not a picture"),
                }[self.path]
                self.send_response(200)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(204)
                self.end_headers()
                neighbour.webhooks.put((self.headers, body))

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
