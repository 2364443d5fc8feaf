"""Command lines and files that are wrong: one readable line, and the exit status that says which."""
import os
import pathlib
import re
import shutil
import tempfile
import unittest

from services import STORIES, run

PROGRAMS = ("lnb-tokenizer", "lnb-model", "lnb-gateway", "lnb-console", "lnb-probe", "lnb-load", "lnb-bench")


class BadInputTest(unittest.TestCase):
    def refuse(self, status, text, program, *arguments):
        done = run(program, *arguments)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        self.assertIn(text, done.stderr)

    def test_help_and_version_succeed(self):
        for program in PROGRAMS:
            for flag, text in {"--help": "default", "--version": "0."}.items():
                done = run(program, flag)
                self.assertEqual(done.returncode, 0)
                self.assertIn(text, done.stdout)
                self.assertEqual(done.stderr, "")

    def test_wrong_usage_exits_with_2(self):
        for program in PROGRAMS:
            self.refuse(2, "--no_such_flag", program, "--no_such_flag=1")
            self.refuse(2, "stray", program, "stray")
        self.refuse(2, "--threads", "lnb-model", f"--model_dir={STORIES}", "--threads=many")
        self.refuse(2, "--threads", "lnb-model", f"--model_dir={STORIES}", "--threads=-1")
        self.refuse(2, "--activations", "lnb-model", f"--model_dir={STORIES}", "--activations=f8")
        for calls in (0, 2**63 - 1):
            self.refuse(2, "--max_calls", "lnb-gateway", f"--max_calls={calls}")
        for program in ("lnb-model", "lnb-bench"):
            self.refuse(2, "(scalar", program, f"--model_dir={STORIES}", "--instruction_set=best")
            self.refuse(2, "--model_dir", program)
        self.refuse(2, "--tokenizer", "lnb-tokenizer")

    def test_missing_files_are_named(self):
        self.refuse(1, "nowhere/params.json", "lnb-model", "--model_dir=nowhere", "--validate_only")
        self.refuse(1, "nowhere/tokenizer.model", "lnb-tokenizer", "--model_dir=nowhere", "--validate_only")

    def test_damaged_files_are_named(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            for name in ("params.json", "consolidated.00.pth", "tokenizer.model"):
                whole = (STORIES / name).read_bytes()
                for size in (0, 1, len(whole) // 2, len(whole) - 1):
                    shutil.copytree(STORIES, folder, dirs_exist_ok=True)
                    (folder / name).write_bytes(whole[:size])
                    program = "lnb-tokenizer" if name == "tokenizer.model" else "lnb-model"
                    if name == "params.json" and size == len(whole) - 1:
                        continue  # Only its newline is gone.
                    self.refuse(1, name, program, f"--model_dir={folder}", "--validate_only")

    def test_too_little_memory_is_refused_with_the_sum(self):
        done = run("lnb-model", f"--model_dir={STORIES}", "--kv_cache_bytes=900000000000000", "--validate_only")
        self.assertEqual(done.returncode, 1)
        found = re.fullmatch(r"lnb-model: .*stories260K does not fit: ([\d.]+) MB of weights \+ ([\d.]+) MB of KV cache"
                             r" \+ ([\d.]+) MB of scratch = ([\d.]+) MB of memory; the limit is ([\d.]+) MB\. .*\n",
                             done.stderr)
        self.assertTrue(found, done.stderr)
        weights, cache, scratch, total, limit = map(float, found.groups())
        self.assertAlmostEqual(weights + cache + scratch, total, delta=0.2)
        self.assertGreater(total, limit)

    def test_more_threads_than_the_process_may_use_are_taken_with_a_warning(self):
        done = run("lnb-model", f"--model_dir={STORIES}", "--threads=2", "--validate_only",
                   under=("taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("2 threads", done.stdout)
        (line,) = done.stderr.strip().splitlines()
        self.assertIn("--threads=2 is more than the 1 that the process may use", line)

    def test_validation_says_so(self):
        for program in ("lnb-model", "lnb-tokenizer"):
            done = run(program, f"--model_dir={STORIES}", "--validate_only")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("valid", done.stdout)


if __name__ == "__main__":
    unittest.main()
