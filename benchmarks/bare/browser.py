"""ONNX Runtime Web in a page with a timed loop, and nothing else: prints nanoseconds.

Arguments: MODEL LIBRARIES NAME SHAPE SECONDS. It starts the browser itself, without DevTools; the
page posts its samples.
"""

import functools
import json
import os
import subprocess
import sys
import tempfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

PAGE = """<!doctype html><script type="module">
const [name, shape, seconds] = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const ort = await import("/ort.wasm.min.mjs");
ort.env.wasm.wasmPaths = "/";
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create("/model.onnx", { executionProviders: ["wasm"] });
const values = new Float32Array(shape.reduce((a, b) => a * b)).map(() => Math.random() * 2 - 1);
const feeds = { [name]: new ort.Tensor("float32", values, shape) };
const samples = [];
for (const begun = performance.now(); performance.now() - begun < seconds * 1e3; ) {
  const before = performance.now();
  await session.run(feeds);
  samples.push(Math.round((performance.now() - before) * 1e6));
}
await fetch("/done", { method: "POST", body: samples.join("\\n") });
</script>"""
TIME_LIMIT_S = 120
FLAGS = (
    "--headless",
    "--no-first-run",
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup",
)


class Handler(SimpleHTTPRequestHandler):
    """Serves the library's folder, the model and the page."""

    model: Path
    said: str
    done = Event()

    def end_headers(self):
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def do_GET(self):
        if self.path == "/model.onnx":
            self.give(self.model.read_bytes(), "application/octet-stream")
        elif self.path == "/":
            self.give(PAGE.encode(), "text/html")
        else:
            super().do_GET()

    def do_POST(self):
        Handler.said = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.give(b"", "text/plain")
        self.done.set()

    def give(self, content, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Print nothing."""


def main(model, libraries, name, shape, seconds):
    Handler.model = Path(model)
    serving = functools.partial(Handler, directory=libraries)
    server = ThreadingHTTPServer(("127.0.0.1", 0), serving)
    Thread(target=server.serve_forever, daemon=True).start()
    told = json.dumps([name, json.loads(shape), float(seconds)])
    address = f"http://127.0.0.1:{server.server_port}/#{told}"
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = ["chromium", *FLAGS, *sandbox, f"--user-data-dir={profile}", address]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as browser:
            answered = Handler.done.wait(TIME_LIMIT_S)
            browser.terminate()
    sys.stdout.write(Handler.said if answered else "")


main(*sys.argv[1:])
