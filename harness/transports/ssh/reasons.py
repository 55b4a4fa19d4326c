"""Why an SSH server cannot be reached, or lets nobody in."""

from __future__ import annotations

from typing import Final

from harness.core.reason import code

# Connections
NO_SERVER: Final = code(
    "link.no-server",
    "{device}: {address}: {why}",
    hint="is an SSH server running on that port?",
)
SSH_SILENT: Final = code("link.ssh-silent", "no SSH server answered within {seconds} s")
HUNG_UP: Final = code("link.hung-up", "it hung up")
FAILED: Final = code("link.failed", "{device}: {address}: {said}")
NOT_FROM_JUMP: Final = code(
    "link.not-from-jump", "{device}: {address} is not reached from {jump}: {said}"
)
NO_HOST: Final = code(
    "link.no-host",
    "{device}: {address}: there is no such host",
    hint="check the address, or give the alias a HostName in ~/.ssh/config",
)
REFUSED: Final = code(
    "link.refused",
    "{device}: {address}: connection refused",
    hint="is an SSH server running on that port?",
)
NO_ANSWER: Final = code(
    "link.no-answer",
    "{device}: {address}: no answer within {seconds} s",
    hint="is the device on, and on the network?",
)
NO_NETWORK: Final = code(
    "link.no-network",
    "{device}: {address}: {said}",
    hint="is this machine on the device's network?",
)
UNREACHABLE: Final = code(
    "link.unreachable",
    "{device}: {address}: {said}",
    hint="is the device on, and on the network?",
)
INCOMPATIBLE: Final = code(
    "link.incompatible",
    "{device}: its SSH server offers no {what} that is supported here, only {offered}",
    hint="update the device's SSH server, or enable there: {known}",
)
NO_SSH: Final = code("link.no-ssh", "{device}: {said}")
BROKE_IN_LOGIN: Final = code(
    "link.broke-in-login", "{device}: {address}: the connection broke during the login"
)
NO_CHANNEL: Final = code("link.no-channel", "{device}: no channel for a command: {said}")
NO_COMMANDS: Final = code(
    "link.no-commands",
    "{device}: its SSH server takes no commands: {said}",
    hint="look at MaxSessions, ForceCommand and the user's shell on the device",
)
NOT_A_SHELL: Final = code(
    "link.not-a-shell",
    "{device}: {user}'s login there runs no commands: {said}",
    hint="give the user a login shell that runs sh (chsh -s /bin/sh), or name another user",
)

# Logins
NO_KEYS: Final = code(
    "login.no-keys",
    "{device}: {address} takes no keys, only {methods}",
    hint="allow public keys in the configuration of the device's SSH server",
)
TOO_MANY_KEYS: Final = code(
    "login.too-many-keys",
    "{device}: {address} hung up: {tried}",
    hint="too many keys? name one: identity_file in the device's file",
)
NO_LOGIN: Final = code(
    "login.refused", "{device}: no login at {address}: {tried}", hint="{command}"
)
NOTHING_TRIED: Final = code(
    "login.nothing-tried", "no agent is running, and ~/.ssh has no usual key file"
)
KEY_REFUSED: Final = code("login.key-refused", "{key} (refused)")
RSA_REFUSED: Final = code(
    "login.rsa-refused",
    "{key} (refused; RSA is used with SHA-2, which old servers do not support: try an ECDSA or "
    "Ed25519 key)",
)
MORE_ASKED: Final = code("login.more-asked", "{key} (accepted, but {methods} is required too)")
KEY_MISSING: Final = code("login.key-missing", "{key} (no such file)")
KEY_ENCRYPTED: Final = code(
    "login.key-encrypted", "{key} (encrypted, and no agent holds it: ssh-add {key})"
)
KEY_UNREADABLE: Final = code("login.key-unreadable", "{key} ({said})")
KEY_UNSUPPORTED: Final = code(
    "login.key-unsupported", "{key} (not a private key of a supported type: {said})"
)
FROM_AGENT: Final = code("login.from-agent", "{key} (from the agent)")
OF_AGENT: Final = code("login.of-agent", "the agent's {key}")

# Host keys
KEY_REVOKED: Final = code("host-key.revoked", "{device}: its host key {key} was revoked")
KEY_CHANGED: Final = code(
    "host-key.changed",
    "{device} ({host}): its host key is {key}, but {recorded} is on record: another machine "
    "answers, or it was reinstalled",
    hint="if you know why: harness devices trust {device} --replace",
)
KEY_UNKNOWN: Final = code(
    "host-key.unknown",
    "{device} ({host}): its host key {key} is unknown",
    hint="harness devices trust {device}",
)
