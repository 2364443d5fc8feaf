#!/usr/bin/env python3
"""Checks that the Markdown pages speak of what exists: every link leads to a file, and to a heading of it; every test that
SECURITY.md names beside a file stands in that file.

check_documents.py [ROOT]. Prints what does not exist; exit status 1 if there is anything."""
import pathlib
import re
import sys

LINK = re.compile(r"\[((?:[^][]|\[[^]]*\])*)\]\(([^)#:\s]*)(#[^)\s]*)?\)")
# [`file`](path) (`test`, words `another`): the tests in the brackets are in the file.
LINK_WITH_TESTS = re.compile(r"\]\(([^)\s]+)\)\s+\(([^()]*)\)")
NAME = re.compile(r"`(\w+)`")


def prose(text):
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text):
    headings = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def tests_in(path):
    """The names of a file's tests: GoogleTest's second argument, or unittest's methods."""
    text = path.read_text()
    if path.suffix == ".py":
        return set(re.findall(r"^ +def (test_\w+)\(", text, re.MULTILINE))
    return set(re.findall(r"^(?:TYPED_)?TEST(?:_[FP])?\(\s*\w+,\s*(\w+)\)", text, re.MULTILINE))


def dead_links(path, text):
    for _, target, anchor in LINK.findall(prose(text)):
        found = (path.parent / target).resolve() if target else path
        if not found.exists():
            yield f"{path}: {target} does not exist"
        elif anchor and anchor[1:] not in anchors(found.read_text()):
            yield f"{path}: {target}{anchor}: no such heading"


def missing_tests(path, text):
    named = 0
    for target, beside in LINK_WITH_TESTS.findall(text):
        found = path.parent / target
        if not found.is_file() or found.suffix not in (".cc", ".py"):
            continue
        there = tests_in(found)
        for name in NAME.findall(beside):
            named += 1
            if name not in there:
                yield f"{path}: {target} has no test {name}"
    if named < 20:
        yield f"{path}: only {named} tests are named beside their files"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()
    pages = [path for path in sorted(root.rglob("*.md"))
             if not path.relative_to(root).parts[0].startswith(("build", "."))]
    found = [line for path in pages for line in dead_links(path, path.read_text())]
    found += missing_tests(root / "SECURITY.md", (root / "SECURITY.md").read_text())
    print("\n".join(found) or f"{len(pages)} pages speak of what exists")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
