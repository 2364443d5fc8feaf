"""Starts and stops the real programs for the system tests."""
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

from reflection_client import Client

BIN = pathlib.Path(os.environ["LLAMA_BIN"])
SANITIZED = "LNB_SANITIZED" in os.environ  # Programs that take several times the time and memory.
SLOWER = 10 if SANITIZED else 1  # What waits and bounds in seconds are multiplied by.
DATA = pathlib.Path(__file__).parent.parent / "data"
STORIES = DATA / "stories260K"

GENERATE = "llama.v1.GatewayService/Generate"


def shell(line):
    """A command that runs the shell line, which ends with `exec "$@"`, before the program that follows it. It stands in
    for subprocess's preexec_fn, which forks: a fork of a process in which gRPC has threads may never return."""
    return "sh", "-c", line, "sh"


def run(program, *arguments, under=(), **options):
    """Runs a program to its end, by the command `under` if there is one: the completed process, its output as text."""
    return subprocess.run([*under, BIN / program, *map(str, arguments)], capture_output=True, text=True,
                          timeout=60 * SLOWER, **options)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Service:
    """One running program. `metrics`: whether it serves them, on `metrics_port`."""

    def __init__(self, program, service, *flags, port=None, metrics=False):
        self.service = service
        if metrics:
            self.metrics_port = free_port()
            flags = (*flags, f"--metrics_listen=:{self.metrics_port}")
        self.port = port or free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.log = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen([BIN / program, f"--listen={self.address}", *map(str, flags)], stderr=self.log)

    def ready(self):
        return run("lnb-probe", f"--address={self.address}", f"--service={self.service}").returncode == 0

    def wait_until_ready(self, seconds=30):
        wait_until(lambda: self.ready() or self.process.poll() is not None, seconds)
        assert self.process.poll() is None, self.log_text()

    def log_text(self):
        self.log.seek(0)
        return self.log.read()

    def stop(self, how=signal.SIGTERM, seconds=30):
        """Sends a signal; the exit status."""
        self.process.send_signal(how)
        return self.process.wait(seconds * SLOWER)

    def close(self):
        """Kills what still runs, and looks for a sanitizer's report in the log. Again: nothing."""
        if self.log.closed:
            return
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        text = self.log_text()
        self.log.close()
        assert "Sanitizer: " not in text and "runtime error: " not in text, text


class Services:
    """Tokenizer, model and gateway, wired together."""

    def __init__(self, model_dir=STORIES, tokenizer_dir=None, model_flags=(), tokenizer_flags=(), flags=(), metrics=False):
        self.model_dir, self.model_flags, self.metrics = model_dir, (*flags, *model_flags), metrics
        self.tokenizer = Service("lnb-tokenizer", "llama.v1.TokenizerService",
                                 f"--model_dir={tokenizer_dir or model_dir}", *flags, *tokenizer_flags, metrics=metrics)
        self.model = self.start_model()
        self.gateway = Service("lnb-gateway", "llama.v1.GatewayService", f"--tokenizer={self.tokenizer.address}",
                               f"--model={self.model.address}", *flags, metrics=metrics)

    def start_model(self, port=None):
        return Service("lnb-model", "llama.v1.ModelService", f"--model_dir={self.model_dir}", *self.model_flags,
                       port=port, metrics=self.metrics)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.ExitStack() as closing:  # The last first, and each whatever becomes of the others.
            for service in (self.tokenizer, self.model, self.gateway):
                closing.callback(service.close)

    def client(self):
        return Client(self.gateway.address)

    def load(self):
        return Client(self.model.address).unary("llama.v1.ModelService/GetLoad")

    def wait_until_idle(self, seconds=30):
        wait_until(lambda: int(self.load().get("running", 0)) + int(self.load().get("waiting", 0)) == 0, seconds)


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds * SLOWER
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.05)


def text_of(events):
    return "".join(event.get("delta", {}).get("text", "") for event in events)
