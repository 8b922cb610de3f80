"""Takes webhooks."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """A server that notes which state each webhook tells of which job."""

    def __init__(self):
        self.lock = threading.Lock()
        self.told = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                told = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with receiver.lock:
                    receiver.told.setdefault(told["id"], []).append(told["status"])
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def states(self):
        """What was told, by job."""
        with self.lock:
            return {job: list(states) for job, states in self.told.items()}

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
