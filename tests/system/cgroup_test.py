"""Real cgroups, where the tests may make some: their limits are found by the program that runs in them."""
import os
import pathlib
import re
import subprocess
import unittest

from services import STORIES, run, shell

MOUNT = pathlib.Path("/sys/fs/cgroup")
MEMORY = 1 << 30


def limits():
    """For each kind that there is: the folder of a new cgroup, and what to write into it."""
    memory = str(MEMORY)
    if (MOUNT / "cgroup.controllers").exists():
        if {"cpu", "memory"} <= set((MOUNT / "cgroup.subtree_control").read_text().split()):
            yield MOUNT, {"cpu.max": "150000 100000", "memory.max": memory}
        return
    for controller, files in (("cpu", {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "150000"}),
                              ("memory", {"memory.limit_in_bytes": memory})):
        if (MOUNT / controller / "cgroup.procs").exists():
            yield MOUNT / controller, files


class CgroupTest(unittest.TestCase):
    def test_a_quota_and_a_limit_are_found(self):
        groups = []
        for parent, files in limits():
            group = parent / f"lnb_test_{os.getpid()}"
            try:
                group.mkdir()
                self.addCleanup(group.rmdir)
                for name, value in files.items():
                    (group / name).write_text(value)
            except OSError as error:
                self.skipTest(f"no cgroup can be made: {error}")
            groups.append(group)
        if not groups:
            self.skipTest("there are no cgroups of processors and memory")

        enter = "".join(f"echo $$ >{group}/cgroup.procs && " for group in groups)
        if subprocess.run([*shell(enter + 'exec "$@"'), "true"], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("the cgroups cannot be entered")
        done = run("lnb-model", f"--model_dir={STORIES}", "--validate_only", under=shell(enter + 'exec "$@"'))
        self.assertEqual(done.returncode, 0, done.stderr)
        threads, limit = re.search(r"(\d+) threads?, .*the limit is ([\d.]+) MB", done.stdout).groups()
        self.assertEqual(int(threads), 1)  # Of one and a half.
        self.assertAlmostEqual(float(limit), MEMORY / 1e6, delta=0.1)


if __name__ == "__main__":
    unittest.main()
