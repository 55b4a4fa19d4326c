"""The store's commands, in a folder of this machine."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

WRONG_CONTENT, NO_GZIP, NO_ROOM, CUT_SHORT = 65, 69, 73, 74
DAY_S = 86400


def hash_of(content):
    return hashlib.sha256(content).hexdigest()


@dataclass
class Store:
    """A store in a folder."""

    program: Path
    folder: Path

    def call(self, command, *words, stdin=b"", environment=None):
        return subprocess.run(
            [self.program, "store", command, *map(str, words)],
            input=stdin, capture_output=True, check=False, env=environment,
        )  # fmt: skip

    def put(self, content, sent=None, *options, **more):
        stdin = content if sent is None else sent
        words = [self.folder, hash_of(content), len(content), *options]
        return self.call("put", *words, stdin=stdin, **more)

    def look(self, *contents, options=()):
        words = [word for each in contents for word in (hash_of(each), len(each))]
        done = self.call("look", *[self.folder, *options, *words])
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().split()

    def putting(self, content):
        """Begin to put a content, and send half of it: more than a pipe holds."""
        words = ["store", "put", self.folder, hash_of(content), str(len(content))]
        process = subprocess.Popen([self.program, *words], stdin=subprocess.PIPE)
        process.stdin.write(content[: len(content) // 2])
        process.stdin.flush()
        return process

    def age(self, content, seconds=DAY_S):
        then = time.time() - seconds
        os.utime(self.folder / hash_of(content), (then, then))

    @property
    def names(self):
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def store(supervisor, tmp_path):
    store = Store(supervisor, tmp_path / "work" / "store")
    store.look()
    return store


@pytest.mark.parametrize("keeps_times", [False, True])
def test_a_file_that_was_overwritten_by_another_of_its_size_is_missing(store, keeps_times):
    assert store.put(b"one model").returncode == 0
    path = store.folder / hash_of(b"one model")
    assert store.look(b"one model") == []
    before = path.stat()
    path.write_bytes(b"a fake 1!")
    if keeps_times:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert store.look(b"one model") == [hash_of(b"one model")]
    assert store.put(b"one model").returncode == 0
    assert (store.look(b"one model"), path.read_bytes()) == ([], b"one model")


def test_only_what_may_have_changed_is_hashed_again(store):
    """The proof: what was taken for its content once is not read; as long as its times are so."""
    store.put(b"content")
    assert store.look(b"content") == []
    seen = store.folder.parent / "store.seen" / hash_of(b"content")
    path = store.folder / hash_of(b"content")
    path.write_bytes(b"another")
    status = path.stat()
    times = f"{status.st_mtime_ns} {status.st_ctime_ns}"
    seen.write_text(f"{status.st_ino} {status.st_size} {times}\n")
    assert store.look(b"content") == []
    seen.unlink()  # as of a device that an earlier version had pushed to
    assert store.look(b"content") == [hash_of(b"content")]


def held(store, *contents):
    return store.names == sorted(map(hash_of, contents))


def test_what_is_put_is_there(store):
    for content in (b"", b"x", b"y" * 100_000):
        assert store.look(content) == [hash_of(content)]
        assert store.put(content).returncode == 0
        path = store.folder / hash_of(content)
        assert path.read_bytes() == content
        assert os.access(path, os.X_OK)
    assert store.look(b"", b"x", b"other", b"y" * 100_000) == [hash_of(b"other")]


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"", CUT_SHORT), (b"123", CUT_SHORT), (b"1235", WRONG_CONTENT), (b"12345", WRONG_CONTENT)],
)
def test_what_is_not_the_content_is_refused(store, sent, status):
    assert store.put(b"1234", sent).returncode == status
    assert store.names == []


def test_compressed_content_is_unpacked(store):
    content = b"abc" * 100_000
    packed = subprocess.run(["gzip"], input=content, capture_output=True, check=True).stdout
    assert store.put(content, packed, "--gzip").returncode == 0
    assert held(store, content)
    assert store.put(b"other", packed, "--gzip").returncode == WRONG_CONTENT
    assert store.put(content, packed[:-100], "--gzip").returncode == CUT_SHORT
    assert store.put(content, b"no gzip", "--gzip").returncode == CUT_SHORT
    nowhere = {"PATH": "/nowhere"}
    assert store.put(content, packed, "--gzip", environment=nowhere).returncode == NO_GZIP
    assert held(store, content)


@pytest.mark.parametrize(
    "words",
    [["../escape", 1], ["A" * 64, 1], ["0" * 63, 1], ["0" * 64], ["0" * 64, "many"]],
    ids=str,
)
@pytest.mark.parametrize("command", ["look", "put"])
def test_only_hashes_and_sizes_are_taken(store, command, words):
    assert store.call(command, store.folder, *words).returncode == 64


def test_room_that_is_not_there_is_told_before_anything_is_sent(store):
    words = [store.folder, "0" * 64, 1 << 50]
    assert store.call("look", *words).returncode == NO_ROOM


def test_two_controllers_may_push_the_same_at_once(store):
    content = b"content" * 100_000
    first, second = store.putting(content), store.putting(content)
    for process in (first, second):
        process.communicate(content[len(content) // 2 :])
        assert process.returncode == 0
    assert held(store, content)


def test_what_a_push_that_was_killed_left_is_removed_and_one_under_way_is_not(store):
    content = b"content" * 100_000
    killed, living = store.putting(content), store.putting(content[::-1])
    killed.kill()
    killed.communicate()
    store.look()
    assert [name[:64] for name in store.names] == [hash_of(content[::-1])]
    living.communicate(content[::-1][len(content) // 2 :])
    assert held(store, content[::-1])


def test_a_supervisor_that_was_pushed_and_not_adopted_is_removed_later(store):
    path = store.folder / "x.new"
    path.touch()
    store.look()
    assert store.names == ["x.new"]
    then = time.time() - DAY_S
    os.utime(path, (then, then))
    store.look()
    assert store.names == []


def test_a_file_is_adopted_under_the_hash_of_its_content(store):
    for size in (0, 1, 55, 56, 63, 64, 65, 119, 120, 1000):
        content = os.urandom(size)
        (store.folder / "x.new").write_bytes(content)
        assert store.call("adopt", store.folder / "x.new").stdout.decode().split() == [
            hash_of(content)
        ]
        assert hash_of(content) in store.names
    assert store.call("adopt", store.folder / "x.new").returncode != 0


@pytest.fixture
def full(store):
    """A store with four files of a megabyte, the first used longest ago."""
    contents = [letter * 1_000_000 for letter in (b"a", b"b", b"c", b"d")]
    for age, content in enumerate(contents):
        store.put(content)
        store.age(content, seconds=(10 - age) * DAY_S)
    return store, contents


def test_above_its_limit_it_keeps_what_was_used_last(full):
    store, (first, second, third, fourth) = full
    store.look(options=["--limit", 4])
    assert held(store, first, second, third, fourth)
    store.look(b"new" * 100, options=["--limit", 4])
    assert held(store, second, third, fourth)
    store.look(second, options=["--limit", 2])
    assert held(store, second, fourth)


def test_what_was_looked_up_stays_whatever_the_limit(full):
    store, contents = full
    store.look(*contents)
    store.look(b"new", options=["--limit", 1])
    assert held(store, *contents)


def test_a_clock_that_was_set_back_does_not_keep_a_file_for_ever(full):
    store, (first, *others) = full
    store.age(first, seconds=-DAY_S)
    store.look(options=["--limit", 1])
    assert held(store, first)
    store.look(options=["--limit", 0])
    assert held(store)
    assert len(others) == 3


def test_by_default_it_leaves_half_of_the_disk(full):
    store, contents = full
    disk = os.statvfs(store.folder)
    free = disk.f_bavail * disk.f_frsize
    wanted = min(free // 10 * 9, 3_000_000_000)
    assert store.call("look", store.folder, "0" * 64, wanted).returncode == 0
    assert held(store)
    assert len(contents) == 4


def test_what_a_living_launch_links_to_stays(full, lab):
    store, (first, second, *_) = full
    gate = lab.gate()
    links = [["--link", "model", store.folder / hash_of(each)] for each in (first, second)]
    linked = lab.begin("read x <../gate", *links[0], wait=0)
    assert linked.state == "running"
    lab.begin("exit 0", *links[1], "--lock", lab.folder / "another", name="ended")
    options = ["--limit", 0, "--launches", lab.folder]
    store.look(options=options)
    assert held(store, first)
    gate.write_text("go\n")
    assert lab.read().state == "ended"
    store.look(options=options)
    assert store.names == []
