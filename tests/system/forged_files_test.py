"""Every forged file, read by the real programs: one readable line, exit status 1, within 2 s and 200 MB. Every good twin
is valid."""
import concurrent.futures
import os
import pathlib
import subprocess
import tempfile
import threading
import unittest

from services import BIN, SANITIZED

FORGE = BIN.parent / "tests" / "forge_files"
MOST_SECONDS, MOST_MEGABYTES = (20, 2000) if SANITIZED else (2, 200)


def read(kind, folder):
    """Runs the program that reads such files: exit status, output, what it used."""
    program, flags = {
        "model": ("lnb-model", ["--context_length=64", "--threads=1"]),
        "tokenizer": ("lnb-tokenizer", [])}[kind]
    process = subprocess.Popen([BIN / program, f"--model_dir={folder}", "--validate_only", *flags],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    killer = threading.Timer(20, process.kill)
    killer.start()
    errors = process.stderr.read().decode()
    process.stderr.close()
    _, status, usage = os.wait4(process.pid, 0)
    killer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, errors, usage


class ForgedFilesTest(unittest.TestCase):
    def check(self, name, kind, expected, folder):
        status, errors, usage = read(kind, folder)
        with self.subTest(name):
            self.assertLessEqual(usage.ru_utime + usage.ru_stime, MOST_SECONDS)
            self.assertLessEqual(usage.ru_maxrss / 1024, MOST_MEGABYTES)
            if not expected:
                self.assertEqual((status, errors), (0, ""))
                return
            self.assertEqual(status, 1, errors)
            self.assertEqual(errors.count("\n"), 1, errors)
            self.assertTrue(errors[:-1].isprintable(), errors)
            for part in expected:
                self.assertIn(part, errors)

    def test_every_file_is_refused_or_is_a_good_twin(self):
        with tempfile.TemporaryDirectory() as root:
            done = subprocess.run([FORGE, root], capture_output=True, text=True, check=True)
            cases = [line.split("\t") for line in done.stdout.splitlines()]
            self.assertGreater(len(cases), 300)
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                for future in [pool.submit(self.check, name, kind, expected, pathlib.Path(root) / name)
                               for name, kind, *expected in cases]:
                    future.result()


if __name__ == "__main__":
    unittest.main()
