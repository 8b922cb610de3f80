"""Programs that end with this one, however it ends: PostgreSQL, servers and workers."""

import os
import pwd
import signal
import socket
import subprocess
import time
from pathlib import Path

# Where jobs wait for something, for as long as a machine that does other things besides may take.
PATIENCE = 60


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def eventually(what, condition, seconds=PATIENCE):
    """Waits until `condition()` is true; how long that took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.05)
    return time.monotonic() - began


def start(command, log, death=signal.SIGKILL, user=None, environment=None):
    """Starts a program that gets the signal `death` when this one is gone. `setpriv` becomes it, so its id is the program's."""
    words = ["setpriv", f"--pdeathsig={signal.Signals(death).name.removeprefix('SIG')}"]
    if user is not None:
        words += [f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups"]
    with open(log, "ab") as file:
        return subprocess.Popen(
            [*words, *command], env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file
        )


class Database:
    """A PostgreSQL server of this run's own."""

    # The tests end processes and no machine, so nothing has to reach the disk. Every wait for a lock that is worth a
    # line is in the log.
    SETTINGS = (
        "listen_addresses = '127.0.0.1'\nmax_connections = 200\nfsync = off\nshared_buffers = 128MB\n"
        "log_lock_waits = on\ndeadlock_timeout = 100ms\n"
    )

    def __init__(self, folder):
        self.folder = Path(folder) / "postgres"
        self.folder.mkdir()
        self.log = self.folder / "log"
        self.port = free_port()
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"
        self.programs = max(Path("/usr/lib/postgresql").glob("*/bin/postgres")).parent
        # It refuses to run for root.
        user = "postgres" if os.getuid() == 0 else None
        if user is not None:
            os.chmod(folder, 0o755)
            os.chown(self.folder, pwd.getpwnam(user).pw_uid, -1)
        data = str(self.folder / "data")
        initdb = [str(self.programs / "initdb"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        made = start([*initdb, "-D", data], self.folder / "initdb.log", user=user).wait()
        if made != 0:
            raise RuntimeError((self.folder / "initdb.log").read_text())
        with open(f"{data}/postgresql.conf", "a", encoding="utf-8") as file:
            file.write(f"{self.SETTINGS}port = {self.port}\nunix_socket_directories = '{self.folder}'\n")
        # QUIT: at once, without waiting for whoever is connected.
        self.process = start([str(self.programs / "postgres"), "-D", data], self.log, signal.SIGQUIT, user)
        ready = [str(self.programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        eventually("PostgreSQL answers", lambda: subprocess.run(ready, check=False).returncode == 0)

    def query(self, text):
        """The rows that statements give, each a list of texts."""
        command = [str(self.programs / "psql"), "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", self.url]
        done = subprocess.run([*command, "-c", text], check=True, stdout=subprocess.PIPE, text=True)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def stop(self):
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()


class Afterimage:
    """A server that only answers requests, or a worker with one slot."""

    # Seconds that the jobs of a worker get to finish.
    FINISH_WITHIN = 10

    def __init__(self, binary, role, number, place):
        self.role = role
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.log = Path(place.folder) / f"{role}-{number}.log"
        common = [binary, role, "--storage-url", f"file:{place.folder}/files"]
        if role == "serve":
            common += ["--workers", "0", "--listen", self.address, "--admin-listen", "off", "--allow-private-networks"]
            common += ["--data-dir", f"{place.folder}/data-{number}"]
        else:
            common += ["--admin-listen", self.address, "--threads", "1", "--finish-within", str(self.FINISH_WITHIN)]
        self.process = start(common, self.log, environment=place.environment)

    def ask_to_stop(self):
        self.process.send_signal(signal.SIGTERM)

    def wait_for_end(self):
        """Seconds until it ended in good order."""
        began = time.monotonic()
        code = self.process.wait(PATIENCE)
        if code != 0:
            raise RuntimeError(f"{self.log.name} ended with {code}: {self.log.read_text()[-2000:]}")
        return time.monotonic() - began

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Place:
    """What all programs of a run share: a database, a folder, an environment."""

    def __init__(self, folder, key):
        self.folder = folder
        self.database = Database(folder)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AFTERIMAGE_")}
        self.environment = kept | {
            "AFTERIMAGE_DATABASE_URL": self.database.url,
            "AFTERIMAGE_API_KEY": key,
            "RUST_LOG": "info",
            # A proxy of the environment knows no addresses of this machine.
            "NO_PROXY": "127.0.0.1",
        }

    def migrate(self, binary):
        """Seconds that it took."""
        began = time.monotonic()
        subprocess.run([binary, "migrate"], check=True, env=self.environment, stdout=subprocess.DEVNULL)
        return time.monotonic() - began
