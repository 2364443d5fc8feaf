#!/usr/bin/env python3
"""Runs clang-tidy, with the checks of .clang-tidy, and clang's -Wthread-safety: lint.py [-j N] BUILD [SOURCE ...]

Over every source of a build folder, or some; their generated headers must have been made. Nearly all of the time goes
into the libraries' headers, so the sources of a folder are read as one unit, or as several where names collide.
Prints each unit with its time and what was found in it; exit status 1 where anything was.
"""
import argparse
import concurrent.futures
import itertools
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MOST_IN_A_UNIT = 8
TEST_CHECKS = "-cert-msc51-cpp"  # Their random numbers are the same in each run.
EXTRA_FLAGS = ["-Wthread-safety", "-Wno-unknown-warning-option"]  # The flags may be GCC's.


def own_sources(build):
    """(source, flags) of each source that is not generated."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        source = pathlib.Path(entry["file"])
        if source.is_relative_to(ROOT) and not source.is_relative_to(build):
            flags = shlex.split(entry["command"])[1:]
            cut = flags.index("-o")
            yield source, tuple(flags[:cut])


def units(sources):
    """Lists of sources to read together: of one folder, with the same flags; a program's main() stands alone."""
    def key(item):
        source, flags = item
        return str(source.parent), flags, str(source) if source.name == "main.cc" else ""
    for (_, flags, _), group in itertools.groupby(sorted(sources, key=key), key):
        group = [source for source, _ in group]
        parts = -(-len(group) // MOST_IN_A_UNIT)
        for i in range(parts):
            yield group[i::parts], flags


def tidy(source, flags, checks):
    command = ["clang-tidy", "--quiet", f"--config-file={ROOT / '.clang-tidy'}", f"--checks={checks}", source, "--", *flags,
               *EXTRA_FLAGS]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode == 0, done.stdout


def lint(folder, sources, flags):
    """(whether clean, what to print). Sources that are no unit together are read as two."""
    start = time.monotonic()
    unit = sources[0]
    if len(sources) > 1:
        unit = folder / f"{hash((*sources, flags)):x}.cc"
        unit.write_text("".join(f'#include "{source.relative_to(ROOT)}"  // NOLINT\n' for source in sources))
    are_tests = all(source.is_relative_to(ROOT / "tests") for source in sources)
    clean, text = tidy(unit, flags, TEST_CHECKS if are_tests else "")
    if len(sources) > 1 and "[clang-diagnostic-error" in text:
        halves = [lint(folder, part, flags) for part in (sources[::2], sources[1::2])]
        return all(clean for clean, _ in halves), "".join(text for _, text in halves)
    names = " ".join(str(source.relative_to(ROOT)) for source in sources)
    return clean, f"{time.monotonic() - start:5.1f} s  {names}\n{'' if clean else text}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    parser.add_argument("-j", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    wanted = {file.resolve() for file in options.files}
    sources = [item for item in own_sources(options.build.resolve()) if not wanted or item[0] in wanted]
    folder = options.build / "lint"
    folder.mkdir(exist_ok=True)
    clean = True
    with concurrent.futures.ThreadPoolExecutor(options.j) as pool:
        jobs = [pool.submit(lint, folder, *unit) for unit in units(sources)]
        for job in concurrent.futures.as_completed(jobs):
            fine, text = job.result()
            clean = clean and fine
            print(text, end="", flush=True)
    print(f"{len(sources)} sources: {'nothing found' if clean else 'see above'}")
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
