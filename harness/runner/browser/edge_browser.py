"""An engine in a web page: the browser's part of the Python runner.

It is beside ``edge_runner.py`` in a launch's folder, with ``page.js``, the engine's ``engine.js``
and its libraries. It serves them on the loopback interface alone, starts a browser with a profile
of its own, and steers it through Playwright, over a pipe. The page times the engine by its own
clock; ``docs/browsers.md`` says what each part of a first load is.
"""

from __future__ import annotations

import os
import re
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from edge_runner import DTYPES, Engine, LaunchError, vmhwm_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, ClassVar

    from numpy.typing import NDArray

BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
KINDS = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}
SOFTWARE = re.compile("swiftshader|llvmpipe|lavapipe|softpipe", re.IGNORECASE)
FLAG = re.compile(r"--[a-z0-9-]+(=[A-Za-z0-9._,:/-]*)?")
# Parts of the browser's own window, which compute for seconds though nobody sees it; services.
QUIET = (
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup,MediaRouter,"
    "NetworkTimeServiceQuerying,OptimizationHints"
)
MOST_POSTED = 1 << 30
TRIES = 50
PAGE = b"""\
<!doctype html>
<meta charset="utf-8">
<title>edge-harness</title>
<script type="module" src="page.js"></script>
"""
# Threads need the isolation; of all that could compute, only these scripts may.
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; "
    "worker-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
}


class Site:
    """What the page may fetch, on the loopback interface.

    Parameters
    ----------
    folder
        Of the files.
    names
        Those that may be fetched.
    port
        0 for any.

    Attributes
    ----------
    inputs
        Of the next inference, in the job's order.
    outputs
        What the page posted, by its place.
    """

    def __init__(self, folder: str, names: Sequence[str], port: int) -> None:
        self.folder = folder
        self.names = sorted(names)
        self.inputs: list[bytes] = []
        self.outputs: dict[int, bytes] = {}
        # What its content is, is in the address: a kept profile never has another's from its cache.
        self.path = f"/{self.digest()}/"
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.give(self)

            def do_POST(self) -> None:
                site.take(self)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}{self.path}"

    def digest(self) -> str:
        """Return what identifies the files."""
        import hashlib

        found = hashlib.sha256()
        for name in self.names:
            with open(os.path.join(self.folder, name), "rb") as file:
                found.update(f"{name} {hashlib.sha256(file.read()).hexdigest()}\n".encode())
        return found.hexdigest()[:32]

    def give(self, request: BaseHTTPRequestHandler) -> None:
        """Answer with the page, a file, or an input."""
        name = self.name(request)
        if name == "":
            self.answer(request, PAGE, "text/html")
        elif name in self.names:
            with open(os.path.join(self.folder, name), "rb") as file:
                kind = KINDS.get(os.path.splitext(name)[1], "application/octet-stream")
                self.answer(request, file.read(), kind, keep=True)
        elif (at := numbered(name, "input-")) is not None and at < len(self.inputs):
            self.answer(request, self.inputs[at], "application/octet-stream")
        else:
            request.send_error(404)

    def take(self, request: BaseHTTPRequestHandler) -> None:
        """Keep an output."""
        at = numbered(self.name(request), "output-")
        length = request.headers.get("Content-Length", "")
        if at is None or not length.isdecimal() or int(length) > MOST_POSTED:
            request.send_error(400)
            return
        self.outputs[at] = request.rfile.read(int(length))
        self.answer(request, b"", "text/plain")

    def name(self, request: BaseHTTPRequestHandler) -> str | None:
        """Return what of the page's folder is asked for; none where it is elsewhere."""
        here = request.headers.get("Host") == f"127.0.0.1:{self.port}"
        path = request.path
        return path[len(self.path) :] if here and path.startswith(self.path) else None

    @staticmethod
    def answer(
        request: BaseHTTPRequestHandler,
        content: bytes,
        kind: str,
        keep: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        """Answer a request, as a site does whose files carry their version in their address."""
        request.send_response(200)
        cached = "public, max-age=31536000, immutable" if keep else "no-store"
        for header, value in HEADERS.items():
            request.send_header(header, value)
        request.send_header("Cache-Control", cached)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def close(self) -> None:
        """Serve no more."""
        self.server.shutdown()
        self.server.server_close()


def numbered(name: str | None, prefix: str) -> int | None:
    """Return the number at the end of a name with a prefix; none where it is no such name."""
    number = name[len(prefix) :] if name and name.startswith(prefix) else ""
    return int(number) if number.isdecimal() and len(number) <= 2 else None  # noqa: PLR2004


class BrowserEngine(Engine):
    """An engine in a page, which its ``engine.js`` loads and runs.

    Attributes
    ----------
    least_version
        Backend to the oldest major version of Chromium that has what it takes.
    flags
        Backend to flags of the browser's that it needs.
    """

    least_version: ClassVar[Mapping[str, int]] = {}
    flags: ClassVar[Mapping[str, Sequence[str]]] = {}
    options = ("browser", "flags")

    def __init__(self) -> None:
        from playwright import sync_api

        self.api = sync_api
        self.playwright: Any = None
        self.context: Any = None
        self.site: Site | None = None
        self.crashed = False
        self.keep: str | None = None
        self.profile_folder = os.path.abspath("profile")
        self.run = lambda: self.call("run")

    # --- the browser ---

    def configure(self, job: dict[str, Any]) -> tuple[str, dict[str, str]]:
        for what in ("shape_changes", "traffic"):  # which this process would time, not the page
            if job.get(what):
                raise LaunchError("BadJob", f"{self.name} does no {what} in a page")
        self.backend = job["backend"]
        self.roles_files = {role: job["files"][role] for role in self.roles}
        self.names = [spec["name"] for spec in job["inputs"]]
        own = os.path.dirname(os.path.abspath(__file__))
        scripts = [name for name in os.listdir(own) if os.path.splitext(name)[1] in KINDS]
        self.site = Site(own, [*scripts, *self.roles_files.values()], self.use_profile(job))
        options = job.get("options", {})
        flags = [*self.flags.get(self.backend, ()), *options.get("flags", "").split()]
        browser = self.start_browser(options.get("browser"), flags)
        clock = self.open_page()
        self.loaded_script = self.call(
            "script", {"backend": self.backend, "threads": job["threads"]}
        )
        build = {
            "browser": browser,
            "clock_step_us": f"{clock['step_ms'] * 1e3:.3g}",
            "isolated": "yes" if clock["isolated"] else "no",
            "profile": "kept" if self.warm else "empty",
            "sandbox": "off" if os.geteuid() == 0 else "on",
            "threads": str(job["threads"]),
        }
        if flags:
            build["flags"] = " ".join(flags)[:200]
        return self.loaded_script["version"], build

    def use_profile(self, job: dict[str, Any]) -> int:
        """Lay out the profile: an empty one, or a copy of the kept one. Return the site's port.

        The browser's caches are by address, so a kept profile has the port that it was made with.
        """
        import shutil

        self.warm = False
        if job["model_cache"] is None:
            return 0
        kept = os.path.join(job["model_cache"], "profile")
        if not os.path.isdir(kept):
            self.keep = kept
            return 0
        shutil.copytree(kept, self.profile_folder, symlinks=True)
        self.warm = True
        with open(os.path.join(self.profile_folder, "edge-port"), encoding="ascii") as file:
            return int(file.read())

    def start_browser(self, path: str | None, flags: Sequence[str]) -> str:
        """Start the browser with one empty tab; return what it is."""
        import shutil

        for flag in flags:
            if not FLAG.fullmatch(flag):
                raise LaunchError("BadJob", f"{flag!r} is no flag of a browser")
        program = path or next(filter(None, map(shutil.which, BROWSERS)), None)
        if program is None or not os.access(program, os.X_OK):
            asked = path or ", ".join(BROWSERS)
            raise LaunchError("EngineMissing", f"{self.name}: there is no browser here ({asked})")
        self.playwright = self.api.sync_playwright().start()
        try:
            self.context = self.playwright.chromium.launch_persistent_context(
                self.profile_folder,
                executable_path=program,
                args=[QUIET, *flags],
                chromium_sandbox=os.geteuid() != 0,  # root has none
                no_viewport=True,
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
            )
        except self.api.Error as error:
            said = next((line for line in str(error).splitlines() if line.strip()), "")
            raise LaunchError(
                "EngineMissing", f"{self.name}: {program} does not start: {said}"
            ) from error
        version = self.context.browser.version
        least = self.least_version.get(self.backend, 0)
        if older_than(version, least):
            raise LaunchError(
                "EngineMissing",
                f"{self.name} on {self.backend} needs Chromium {least} or newer, "
                f"{program} is {version}",
            )
        return f"Chromium {version}"

    def open_page(self) -> dict[str, Any]:
        """Open the page, and find its process; return what its clock is like."""
        assert self.site is not None  # noqa: S101 - configure made it
        self.page = self.context.pages[0]
        self.page.on("crash", lambda *_: setattr(self, "crashed", True))
        begun_ms = self.page.evaluate("performance.timeOrigin")
        self.devtools = self.context.browser.new_browser_cdp_session()
        (browser,) = self.numbers("browser")
        self.page.goto(self.site.address)
        self.process_ms = since_start_ms(browser, begun_ms) + self.call("navigation")["ms"]
        clock: dict[str, Any] = self.call("clock")
        self.pids = [self.renderer(), *self.numbers("GPU")]
        return clock

    def renderer(self) -> int:
        """Return the page's process: the renderer that is busy while the page is.

        A browser has others, some in reserve, which may be busy at first.
        """
        for _ in range(TRIES):
            before = {pid: cpu_s(pid) for pid in self.numbers("renderer")}
            self.call("clock")  # 0.1 s of it
            spent = sorted(((cpu_s(pid) - was, pid) for pid, was in before.items()), reverse=True)
            others = spent[1][0] if len(spent) > 1 else 0.0
            if spent[0][0] >= 3 * others + 0.03:  # the kernel counts in steps of 0.01 s
                return spent[0][1]
        raise LaunchError("EngineFailed", "which process is the page's cannot be told")

    def numbers(self, kind: str) -> list[int]:
        """Return the process numbers of the browser's processes of a kind."""
        found = self.devtools.send("SystemInfo.getProcessInfo")["processInfo"]
        return [each["id"] for each in found if each["type"] == kind]

    def call(self, name: str, argument: Any = None) -> Any:
        """Call a function of the page's, and wait for its result."""
        try:
            answer = self.page.evaluate("given => edge(given)", [name, argument])
        except self.api.Error as error:
            if self.crashed or "crashed" in str(error):
                raise LaunchError("EngineFailed", f"the page crashed in {name!r}") from error
            if "closed" in str(error):
                raise LaunchError("EngineFailed", f"the tab was closed in {name!r}") from error
            raise
        if "kind" in answer:
            kind = answer["kind"] if answer["kind"] in ("BadJob", "EngineMissing") else None
            raise LaunchError(kind or "EngineFailed", f"{name}: {answer['message']}")
        return answer.get("value")

    def close(self) -> None:
        import shutil

        with suppress(self.api.Error):  # it may have ended before
            if self.context:
                self.context.close()
            if self.playwright:
                self.playwright.stop()
        if self.site:
            self.site.close()
            if self.keep and self.context:
                with open(
                    os.path.join(self.profile_folder, "edge-port"), "w", encoding="ascii"
                ) as file:
                    file.write(str(self.site.port))
                partial = f"{self.keep}.partial"
                own = shutil.ignore_patterns("Singleton*")  # of a browser that runs
                shutil.copytree(self.profile_folder, partial, symlinks=True, ignore=own)
                os.replace(partial, self.keep)

    # --- the launch ---

    def started(self) -> dict[str, float]:
        return {"process_ms": self.process_ms, "import_ms": self.loaded_script["ms"]}

    def read(self, paths: Sequence[str]) -> int:
        del paths
        self.fetched = self.call("read", self.roles_files)
        return int(self.fetched["bytes"])

    def load(self) -> list[str]:
        self.opened = self.call("open")
        return list(self.opened["inputs"])

    def loaded(self) -> dict[str, Any]:
        facts = self.opened["facts"]
        gpu = facts.get("gpu", "").strip()
        driver = SOFTWARE.search(gpu)
        simulated = driver[0] if driver else "software adapter" if facts.get("software") else None
        return {
            "read_ms": self.fetched["ms"],
            "init_ms": self.opened["ms"],
            "build": {"gpu": gpu[:200]} if gpu else {},
            "simulated": simulated and f"{simulated} ({self.backend})",
        }

    def bind(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        assert self.site is not None  # noqa: S101 - configure made it
        self.site.inputs = [inputs[name].tobytes() for name in self.names]
        given = [
            {"name": name, "dtype": inputs[name].dtype.name, "shape": inputs[name].shape}
            for name in self.names
        ]
        self.call("bind", given)

    def time_first(self) -> float:
        return float(self.call("first"))

    def time_warmup(self, policy: Mapping[str, Any]) -> tuple[list[int], str]:
        found = self.call("warmup", policy)
        return list(found["ns"]), str(found["reason"])

    def time_samples(
        self,
        limits: Mapping[str, Any],
        sustained: bool,  # noqa: FBT001 - as the job has it
    ) -> tuple[list[int], int, float]:
        before = self.spent_s()
        found = self.call("sample", {"limits": limits, "sustained": sustained})
        return list(found["ns"]), int(found["inferences"]), (self.spent_s() - before) * 1e3

    def spent_s(self) -> float:
        """Return the CPU time of the page's process and the GPU's, in s."""
        return sum(map(cpu_s, self.pids))

    def peak_bytes(self) -> int:
        """Return the peak resident sets of the page's process and the GPU's, added up."""
        return sum(map(vmhwm_bytes, self.pids))

    def fetch(self) -> list[tuple[str, NDArray[Any]]]:
        import numpy as np

        assert self.site is not None  # noqa: S101 - configure made it
        self.site.outputs.clear()
        found = []
        for at, each in enumerate(self.call("fetch")):
            if each["dtype"] not in DTYPES:
                raise LaunchError("EngineFailed", f"output {each['name']!r} is of {each['dtype']}")
            values = np.frombuffer(self.site.outputs[at], each["dtype"])
            found.append((each["name"], values.reshape(each["shape"])))
        return found


def older_than(version: str, least: int) -> bool:
    """Say whether a browser's version is older than a major one."""
    major = version.partition(".")[0]
    return not major.isdecimal() or int(major) < least


def stat(pid: int, *fields: int) -> float:
    """Return the sum of fields of a process's ``stat`` that are times, in s; see proc(5)."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        found = file.read().rpartition(")")[2].split()
    return sum(int(found[field - 3]) for field in fields) / os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process and all its threads; 0 where it has ended."""
    try:
        return stat(pid, 14, 15)
    except OSError:
        return 0.0


def since_start_ms(pid: int, wall_ms: float) -> float:
    """Return how long after a process's start a moment of the wall clock was."""
    import time

    started = stat(pid, 22)
    ago = time.time() - wall_ms / 1e3
    return max(0.0, (time.clock_gettime(time.CLOCK_BOOTTIME) - ago - started) * 1e3)
