from __future__ import annotations

import getpass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.errors import SpecificationError
from harness.transports.ssh.target import SshTarget


@pytest.mark.parametrize(
    ("address", "user", "host", "port", "known_as"),
    [
        ("root@board", "root", "board", 22, "board"),
        ("ssh://root@10.0.0.7:2222", "root", "10.0.0.7", 2222, "[10.0.0.7]:2222"),
        ("board", None, "board", 22, "board"),
        ("me@[2001:db8::1]:2222", "me", "2001:db8::1", 2222, "[2001:db8::1]:2222"),
        ("[::1]", None, "::1", 22, "::1"),
    ],
)
def test_addresses(address, user, host, port, known_as):
    target = SshTarget.resolve(address)
    assert (target.user, target.host, target.port) == (user or getpass.getuser(), host, port)
    assert target.host_key_name == known_as


@pytest.mark.parametrize(
    "address",
    ["", "a b", "root@", "-oProxyCommand=x", "root@-x", "host:0", "host:70000", "a@b@c", "::1"],
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(SpecificationError, match="is not an address"):
        SshTarget.resolve(address)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_refused(text):
    try:
        target = SshTarget.resolve(text, config=Path("/dev/null"))
    except SpecificationError:
        return
    assert not target.host.startswith("-")
    assert 0 < target.port < 1 << 16


def write_config(home, text):
    (home / ".ssh" / "config").write_text(text)


def test_an_alias_is_completed_and_the_address_goes_before_it(home):
    write_config(
        home,
        "Host lab\n  HostName 10.0.0.7\n  Port 2222\n  User pi\n  IdentityFile ~/.ssh/lab\n"
        "  IdentitiesOnly yes\n  HostKeyAlias lab-board\n",
    )
    target = SshTarget.resolve("lab", name="demo")
    assert target == SshTarget(
        name="demo",
        host="10.0.0.7",
        port=2222,
        user="pi",
        identity_files=(home / ".ssh" / "lab",),
        identities_only=True,
        host_key_alias="lab-board",
    )
    given = SshTarget.resolve("root@lab:22", identity_file=Path("~/key"))
    assert (given.user, given.port, given.identity_files) == ("root", 22, (home / "key",))


def test_jump_hosts_form_a_chain(home):
    write_config(
        home, "Host board\n  ProxyJump a@one:1,two\nHost two\n  HostName 10.0.0.2\n  User b\n"
    )
    last = SshTarget.resolve("board").jump
    assert (last.user, last.host) == ("b", "10.0.0.2")
    assert (last.jump.user, last.jump.host, last.jump.port) == ("a", "one", 1)
    assert last.jump.jump is None


def test_a_loop_of_jump_hosts_is_refused(home):
    write_config(home, "Host one\n  ProxyJump two\nHost two\n  ProxyJump one\n")
    with pytest.raises(SpecificationError, match="a loop"):
        SshTarget.resolve("one")


def test_included_files_count_and_leave_the_section_as_it_was(home):
    (home / ".ssh" / "conf.d").mkdir()
    (home / ".ssh" / "conf.d" / "lab").write_text("Host lab\n  HostName 10.0.0.7\n")
    write_config(home, "Include conf.d/*\nUser everyone\n\nHost other\n  Port 99\n")
    lab = SshTarget.resolve("lab")
    assert (lab.host, lab.user, lab.port) == ("10.0.0.7", "everyone", 22)
    assert SshTarget.resolve("other").user == "everyone"


def test_a_wrong_configuration_is_named(home):
    write_config(home, "Host lab\n  HostName\n")
    with pytest.raises(SpecificationError, match=r"\.ssh/config: Unparsable line"):
        SshTarget.resolve("lab")
