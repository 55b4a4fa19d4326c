"""A real PostgreSQL server on loopback, which a test may stop, restart, and make databases on."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

import psycopg
import pytest

USER, PASSWORD = "edge", "not in any file"


def programs() -> Path | None:
    """Return the folder of Debian's newest server, or of one on the path."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3])
    )
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


class Postgres:
    """A server with a folder and a port of its own, which runs as no root."""

    def __init__(self, bin_folder: Path, primary: Postgres | None = None) -> None:
        self._bin = bin_folder
        # Not pytest's: its folders are closed to other users.
        self.folder = Path(tempfile.mkdtemp(prefix="edge-harness-postgresql-"))
        self._as_user = []
        if os.geteuid() == 0:
            name = (
                "postgres" if "postgres" in {each.pw_name for each in pwd.getpwall()} else "nobody"
            )
            user = pwd.getpwnam(name)
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as_user = [
                "setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
            ]  # fmt: skip
        (self.folder / "password").write_text(PASSWORD)
        if primary:
            self._call(
                "pg_basebackup", "--write-recovery-conf", "--no-sync", "--checkpoint=fast",
                "-h", "127.0.0.1", "-p", str(primary.port), "-U", USER, "-D", self.folder / "data",
            )  # fmt: skip
        else:
            self._call(
                "initdb", "--no-sync", f"--username={USER}", "--auth=scram-sha-256",
                f"--pwfile={self.folder}/password", "--locale=C.UTF-8", self.folder / "data",
            )  # fmt: skip
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._numbers = count()
        self.process = None
        self.start()

    def _call(self, program, *arguments):
        command = [*self._as_user, self._bin / program, *arguments]
        subprocess.run(command, check=True, cwd=self.folder, stdout=subprocess.DEVNULL)

    def start(self) -> None:
        options = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "",
            "fsync": "off", "logging_collector": "off",
        }  # fmt: skip
        command = [*self._as_user, self._bin / "postgres", "-D", self.folder / "data"]
        command += [f"--{name}={value}" for name, value in options.items()]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, stderr=log, stdout=log)
        while True:
            with suppress(psycopg.OperationalError):
                self.connect().close()
                return
            assert self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """End it at once, as a crash would; it recovers when it starts."""
        self._call("pg_ctl", "stop", "--mode=immediate", "-D", self.folder / "data")
        self.process.wait()

    def replica(self) -> Postgres:
        """Start a server that follows this one."""
        return Postgres(self._bin, self)

    def connect(self, database="postgres"):
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname=database,
            autocommit=True,
        )  # fmt: skip

    def execute(self, statement: str, database="postgres") -> None:
        with self.connect(database) as connection:
            connection.execute(statement)

    def new_database(self) -> str:
        """Make a database; return its URL, which has no password."""
        name = f"results{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, database: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def close(self) -> None:
        if self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder)


@pytest.fixture(scope="session")
def postgres_server():
    found = programs()
    if found is None:
        pytest.skip("no PostgreSQL server here (Debian: postgresql)")
    server = Postgres(found)
    yield server
    server.close()


@pytest.fixture
def postgres(postgres_server, monkeypatch):
    """A server that is up, and knows the user by a password from the environment."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    yield postgres_server
    if postgres_server.process.poll() is not None:
        postgres_server.start()
