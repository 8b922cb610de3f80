"""What stands before the servers: sends each request to the next one that is ready, and never a second time."""

import http.client
import itertools
import threading
import time

# Seconds between two looks at a server.
LOOK_EVERY = 0.25

# Servers close connections that nobody uses. One that was idle for longer than this is not used again, so that no request meets a close.
IDLE = 1.0

# Seconds for an answer: a synchronous one comes when its job has ended.
ANSWERS_WITHIN = 300


class Failed(Exception):
    """A request that got no answer."""


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def is_postponed(self):
        """Whether the client was told to come again, which is an answer and not a failure."""
        return self.status == 503 and "retry-after" in self.headers


class Balancer:
    """The servers in rotation."""

    # By this name clients know the servers, so addresses of files lead to whichever is there.
    HOST = "pictures.test"

    def __init__(self):
        self.lock = threading.Lock()
        self.ready = {}
        self.turns = itertools.count()
        self.kept = threading.local()
        self.ended = threading.Event()
        threading.Thread(target=self._look, daemon=True).start()

    def add(self, address):
        """A server that gets requests from when it is ready."""
        with self.lock:
            self.ready[address] = False

    def take_out(self, address):
        """No new requests for a server; those that it has go on."""
        with self.lock:
            del self.ready[address]

    def is_ready(self, address):
        with self.lock:
            return self.ready[address]

    def in_rotation(self):
        with self.lock:
            return [address for address, ready in self.ready.items() if ready]

    def request(self, method, path, body=None, headers=None):
        """The answer of the server whose turn it is."""
        servers = self.in_rotation()
        if not servers:
            raise Failed("no server is ready")
        address = servers[next(self.turns) % len(servers)]
        try:
            return self._send(address, method, path, body, {"Host": self.HOST} | (headers or {}))
        except (OSError, http.client.HTTPException) as error:
            # Nothing else is known of a connection that failed once.
            self._connections().pop(address, None)
            raise Failed(f"{method} {path} by {address}: {type(error).__name__}: {error}") from error

    def stop(self):
        self.ended.set()

    def _connections(self):
        """Of this thread, which is one client: connections by server, and when each was used last."""
        if not hasattr(self.kept, "connections"):
            self.kept.connections = {}
        return self.kept.connections

    def _send(self, address, method, path, body, headers):
        connections = self._connections()
        connection, used = connections.get(address, (None, 0))
        if connection is None or time.monotonic() - used > IDLE:
            connection = http.client.HTTPConnection(address, timeout=ANSWERS_WITHIN)
        connection.request(method, path, body, headers)
        answer = Answer(connection.getresponse())
        connections[address] = (connection, time.monotonic())
        return answer

    def _look(self):
        while not self.ended.wait(LOOK_EVERY):
            with self.lock:
                addresses = list(self.ready)
            for address in addresses:
                ready = is_ready(address)
                with self.lock:
                    if address in self.ready:
                        self.ready[address] = ready


def is_ready(address):
    """Whether a server or worker says so."""
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
