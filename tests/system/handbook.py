"""Runs the pages of docs/: what a reader would type, and what the page says comes out."""
import os
import pathlib
import re
import subprocess
import tempfile

from services import BIN, SLOWER, free_port

PROJECT = pathlib.Path(__file__).parent.parent.parent
DOCS = PROJECT / "docs"
PORTS = {"lnb-gateway": "50050", "lnb-tokenizer": "50051", "lnb-model": "50052"}  # As the pages have them.
_MARK = "==== block "
_STOP = "trap 'status=$?; kill $(jobs -p) 2>/dev/null || true; wait; exit $status' EXIT"


def blocks(page):
    """The fenced blocks of a page in order: (language, text, the line before the block)."""
    text = (DOCS / page).read_text()
    return [(match[2], match[3], match[1])
            for match in re.finditer(r"([^\n]*)\n+```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)]


def pattern_of(expected):
    """A regular expression for output in which … stands for any text, alone on a line for any lines. A block without … is
    the whole output; one with it, a part. Indentation does not count."""
    lines = [line.strip() for line in expected.strip().splitlines()]
    parts = ["(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + "\n" for line in lines]
    return re.compile("".join(parts) if "…" in expected else r"\A" + "".join(parts) + r"\Z")


def has_output(expected, output):
    text = "".join(line.strip() + "\n" for line in output.strip().splitlines())
    return pattern_of(expected).search(text) is not None


class Page:
    """A page, run by bash in a folder of its own, in which deploy/ and proto/ are the project's."""

    def __init__(self, page, ports=None):
        self.page = page
        self.ports = ports or {program: free_port() for program in PORTS}
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self.temporary.name)

    def close(self):
        self.temporary.cleanup()

    def _with_ports(self, text):
        for program, port in PORTS.items():
            text = text.replace(f"localhost:{port}", f"localhost:{self.ports[program]}")
        return text

    def _command(self, name, line):
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\nexec {line} \"$@\"\n")
        path.chmod(0o755)

    def _prepare(self):
        for name in ("deploy", "proto"):
            (self.folder / name).symlink_to(PROJECT / name)
        (self.folder / "bin").mkdir()
        for program in BIN.glob("lnb-*"):
            listen = f"--listen=127.0.0.1:{self.ports[program.name]}" if program.name in PORTS else ""
            self._command(program.name, f"{program.resolve()} {listen}")
        self._command("grpcurl", f"/usr/bin/python3 {PROJECT}/tests/system/reflection_client.py")

    def run(self, timeout=120):
        """Runs all commands. Returns what does not fit the page, as text; empty: all does."""
        self._prepare()
        script, expected = ["set -euo pipefail", _STOP], []
        for language, text, before in blocks(self.page):
            if language == "sh":
                script += [f"echo '{_MARK}{len(expected)}'", self._with_ports(text)]
                expected.append(None)
            elif language == "python":
                name = before.strip("`: ")
                (self.folder / name).write_text(self._with_ports(text))
            elif not language:
                expected[-1] = text
        assert expected, f"{self.page} has no commands"
        environment = {"PATH": f"{self.folder}/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
        if "LSAN_OPTIONS" in os.environ:
            environment["LSAN_OPTIONS"] = os.environ["LSAN_OPTIONS"]
        with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
            done = subprocess.run(["bash", "-c", "\n".join(script)], cwd=self.folder, stdout=output, stderr=errors,
                                  timeout=timeout * SLOWER, env=environment)
            output.seek(0)
            errors.seek(0)
            outputs = re.split(rf"{_MARK}\d+\n", output.read())[1:]
            problems = [f"exit status {done.returncode}: {errors.read()}"] if done.returncode != 0 else []
        for text, said in zip(expected, outputs):
            if text is not None and not has_output(text, said):
                problems.append(f"{self.page} shows\n{text}\nbut it is\n{said}")
        return "\n".join(problems)
