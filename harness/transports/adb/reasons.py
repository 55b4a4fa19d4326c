"""Why a device cannot be reached or used through the adb server."""

from __future__ import annotations

from typing import Final

from harness.core.reason import code

NO_DEVICE: Final = code(
    "adb.no-device",
    "the adb server has no device",
    hint="plug it in with USB debugging on, or use the network: adb://HOST:PORT",
)
UNAUTHORIZED: Final = code(
    "adb.unauthorized",
    "{device}: it does not trust this computer's adb key",
    hint="unlock its screen and accept 'Allow USB debugging'; if it does not ask, unplug it and "
    "plug it in again",
)
NO_PERMISSION: Final = code(
    "adb.no-permission",
    "{device}: this user has no permission to open its USB device",
    hint="apt-get install android-sdk-platform-tools-common, join plugdev, log in, adb kill-server",
)
CONNECTING: Final = code(
    "adb.connecting", "{device}: it is still connecting", hint="try again in a moment"
)
OFFLINE: Final = code(
    "adb.offline",
    "{device}: it is offline: the adb server lists it, but it does not answer",
    hint="wait if it is booting; otherwise replug it, or: adb reconnect offline",
)
NOT_FOUND: Final = code(
    "adb.not-found",
    "{device}: the adb server has no such device",
    hint="check that it is plugged in with USB debugging on: adb devices -l",
)
UNUSABLE: Final = code("adb.unusable", "{device}: {said}", hint="see: adb devices -l")
NOT_CONNECTED: Final = code(
    "adb.not-connected",
    "{device}: {said}",
    hint="check that it is on the network and its adbd listens (over USB: adb tcpip 5555)",
)
SERVER_SILENT: Final = code(
    "adb.server-silent", "the adb server at {address} did not answer in time"
)
SERVER_FAILED: Final = code("adb.server-failed", "the adb server at {address}: {said}")
NO_SERVER: Final = code(
    "adb.no-server",
    "the adb server at {address} is not running",
    hint="start it on that machine",
)
NO_ADB: Final = code(
    "adb.no-adb",
    "the adb server at {address} is not running, and adb is not installed here to start it",
    hint="apt-get install adb",
)
SERVER_SLOW: Final = code(
    "adb.server-slow", "the adb server at {address} did not start within {seconds} s"
)
SERVER_NOT_STARTED: Final = code(
    "adb.server-not-started",
    "the adb server at {address} did not start: {said}",
    hint="adb start-server",
)
TOO_LONG: Final = code("adb.too-long", "a command of {bytes} bytes is too long for adb")
NOT_ADB: Final = code("adb.not-adb", "not an adb server answers there, saying {said}")
