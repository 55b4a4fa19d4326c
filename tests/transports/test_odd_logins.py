"""Logins that are not a quiet POSIX shell with any number of commands at once."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.transports.base import CommandTimeoutError, TransportError
from harness.transports.shell import AfterMark
from harness.transports.ssh.connection import fetch_host_key
from harness.transports.ssh.host_keys import HostKeys
from harness.transports.ssh.transport import SshTransport

SHELLS = ("sh", "bash", "fish", "tcsh")
WORDS = [
    "a'b", "c\\d", "e!f", "!!", "$(reboot)", "`x`", "two\nlines", "\t", "ü漢", "%s%d", "\\n\\0101",
    "*?[x]~{a,b}", "", "end\n", "-n", "\\\\'", '"', "x" * 5000,
]  # fmt: skip


@pytest.fixture
def login(start_sshd, tmp_path):
    """Return a transport to a server whose every session runs a script."""

    def log_in(script, *options):
        path = tmp_path / "session"
        path.write_text(f"#!/bin/bash\n{script}\n")
        path.chmod(0o755)
        server = start_sshd(f"ForceCommand {path}", *options)
        host_keys = HostKeys(tmp_path / "known")
        host_keys.record(server.target(), fetch_host_key(server.target(), host_keys))
        return SshTransport(server.target(), host_keys)

    return log_in


@pytest.mark.parametrize("shell", SHELLS)
def test_whatever_the_login_shell_is_a_posix_shell_gets_the_command(login, tmp_path, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    with login(f'exec {shell} -c "$SSH_ORIGINAL_COMMAND"') as transport:
        answer = transport.run(["printf", "%s|", *WORDS])
        assert answer.stdout == "".join(f"{word}|" for word in WORDS).encode()
        assert transport.run(["sh", "-c", "echo no >&2; kill -SEGV $$"]).returncode == 128 + 11
        assert transport.run(["cat"], stdin=b"\0\xff\n").stdout == b"\0\xff\n"
        (tmp_path / "file").write_bytes(b"content")
        transport.push(tmp_path / "file", str(tmp_path / "it's there"))
        transport.pull(str(tmp_path / "it's there"), tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == b"content"
        with pytest.raises(CommandTimeoutError):
            transport.run(["sh", "-c", f"echo $$ >'{tmp_path}/pid'; sleep 1000"], timeout=3)
        pid = (tmp_path / "pid").read_text().strip()
        assert transport.run(["sh", "-c", f"kill -0 {pid}"]).returncode != 0


def test_what_a_login_script_prints_is_no_part_of_an_answer(login):
    noise = 'printf "Welcome"; echo " to board-7 $SSH_ORIGINAL_COMMAND" >&2; printf "%s\\n> "'
    with login(f'{noise} "$SSH_ORIGINAL_COMMAND"; exec bash -c "$SSH_ORIGINAL_COMMAND"') as noisy:
        answer = noisy.run(["sh", "-c", "echo out; echo err >&2"])
        assert (answer.stdout, answer.stderr) == (b"out\n", b"err\n")


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ('exec bash -r -c "$SSH_ORIGINAL_COMMAND"', "exec: restricted"),
        ("echo 'This account is currently not available.'; exit 1", "currently not available"),
        ("exit 0", "exit status 0"),
    ],
)
def test_a_login_that_runs_no_commands_says_so(login, script, says):
    with login(script) as transport, pytest.raises(TransportError, match="runs no commands") as no:
        transport.run(["true"])
    assert says in no.value.message
    assert "login shell" in no.value.hint


def test_a_server_with_one_session_a_connection_runs_commands_at_once(login):
    with login('exec bash -c "$SSH_ORIGINAL_COMMAND"', "MaxSessions 1") as transport:
        for number in range(5):
            assert transport.run(["echo", str(number)]).text == f"{number}\n"
        with ThreadPoolExecutor(3) as pool:
            answers = pool.map(lambda n: transport.run(["echo", str(n)]).text, range(6))
            assert list(answers) == [f"{number}\n" for number in range(6)]


def test_a_server_without_sessions_names_the_setting(login):
    with login("true", "MaxSessions 0") as transport, pytest.raises(TransportError) as no:
        transport.run(["true"])
    assert "takes no commands" in no.value.message
    assert "MaxSessions" in no.value.hint


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_mark_is_found_wherever_its_parts_end(size):
    content = b"Welcome 0123abc; 0123abcd\nanswer 0123abcd\n"
    taken = []
    sink = AfterMark("0123abcd", taken.append)
    for start in range(0, len(content), size):
        sink(content[start : start + size])
    assert b"".join(taken) == b"answer 0123abcd\n"
    assert (sink.before, sink.seen) == (b"Welcome 0123abc; ", True)
