#!/usr/bin/env python3
"""Checks that folders depend on each other in one direction only (DESIGN: folders are layers), from the #include lines.

check_dependencies.py [ROOT]. Prints the forbidden includes; exit status 1 if there are any."""
import pathlib
import re
import sys

# What a folder's files may include, beside their own folder and the system's headers. `grpcpp` and the generated
# headers of services count too. The longest folder that matches decides.
COMMON = {"common", "google/rpc"}
PROTO = {"llama/v1"}
RPC = {"common/rpc", "grpcpp", "grpc"} | PROTO | COMMON
ALLOWED = {
    "common": COMMON,
    "common/rpc": RPC,
    "services/limits": COMMON,
    "services/tokenizer": COMMON | {"llama/files", "services/limits"},
    "services/gateway": RPC | {"services/limits"},
    "services/model/tensor": COMMON,
    "services/model/threads": COMMON,
    "services/model/checkpoint": COMMON | {"services/model/tensor", "llama/files"},
    "services/model/kernels": COMMON | {"services/model/tensor"},
    "services/model/transformer": COMMON | {"services/model/tensor", "services/model/checkpoint",
                                            "services/model/kernels", "services/model/threads"},
    "services/model/engine": COMMON | {"services/limits", "services/model/tensor", "services/model/checkpoint",
                                       "services/model/kernels", "services/model/threads",
                                       "services/model/transformer"},
    "services/model/limits": COMMON | {"services/model/tensor", "services/model/kernels", "services/model/threads"},
    "services/model/bench": COMMON | {"services/model/tensor", "services/model/checkpoint", "services/model/kernels",
                                      "services/model/threads", "services/model/limits", "services/model/transformer",
                                      "services/model/engine"},
    "services/model": RPC | {"services/model", "services/limits"},
    "clients": RPC,
    "clients/console": RPC,
}
# Only these files of a folder that is otherwise free of gRPC translate for it.
SERVICE_FILES = re.compile(r"^(.*_service|main)\.(h|cc)$")
# And these only for the messages.
MESSAGE_FILES = re.compile(r"^.*_messages\.(h|cc)$")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
OURS = re.compile(r"^(common|services|clients|llama|google/rpc|grpc|grpcpp|prometheus)/")
# Only these files know of metrics.
METRICS_FILES = re.compile(r"^((.*_)?metrics(_.*)?|main)\.(h|cc)$")


def folder_of(path):
    """The entry of ALLOWED that a path belongs to."""
    parts = path.split("/")[:-1]
    while parts and "/".join(parts) not in ALLOWED:
        parts.pop()
    return "/".join(parts)


def is_allowed(path, included):
    folder = folder_of(path)
    if not folder:
        return True
    allowed = set(ALLOWED[folder]) | {folder}
    if SERVICE_FILES.match(path.rsplit("/", 1)[-1]):
        allowed |= RPC
    if MESSAGE_FILES.match(path.rsplit("/", 1)[-1]):
        allowed |= PROTO
    is_metrics_file = METRICS_FILES.match(path.rsplit("/", 1)[-1]) is not None
    if is_metrics_file:
        allowed |= {"prometheus"}
    elif included.startswith("common/metrics_"):
        return False
    target = included.rsplit("/", 1)[0]
    if folder == "common" and target.startswith("common/rpc"):
        return False
    while target:
        if target in allowed:
            return True
        if target in ALLOWED:  # A layer of its own, which its parent's permission does not cover.
            return folder == "services/model" and target.startswith("services/model/")
        target = target.rpartition("/")[0]
    return False


def violations(files):
    """`files`: pairs of a path and its text."""
    for path, text in files:
        for number, line in enumerate(text.splitlines(), 1):
            found = INCLUDE.match(line)
            if found and OURS.match(found[1]) and not is_allowed(path, found[1]):
                yield f'{path}:{number}: must not include "{found[1]}"'


def self_test():
    """Each of these arrows must be found, or the check itself is broken."""
    for path, included in (("common/log.cc", "services/model/engine/engine.h"), ("common/log.cc", "common/rpc/server.h"),
                           ("services/model/engine/engine.cc", "grpcpp/grpcpp.h"),
                           ("services/model/kernels/kernels.cc", "services/model/transformer/transformer.h"),
                           ("services/model/checkpoint/zip_reader.cc", "services/model/kernels/kernels.h"),
                           ("services/gateway/relay.cc", "services/model/tensor/tensor.h"),
                           ("services/tokenizer/tokenizer.cc", "common/rpc/server.h"),
                           ("services/tokenizer/tokenizer.cc", "llama/v1/common.pb.h"),
                           ("services/tokenizer/tokenizer_messages.cc", "grpcpp/grpcpp.h"),
                           ("services/model/engine/engine_core.cc", "prometheus/registry.h"),
                           ("services/model/engine/engine_core.cc", "common/metrics_family.h"),
                           ("services/model/engine/engine_metrics.cc", "services/model/model_metrics.h"),
                           ("clients/console/menu.cc", "services/tokenizer/vocabulary.h")):
        assert list(violations([(path, f'#include "{included}"')])), f"{path} may include {included}"
    assert not list(violations([("services/model/model_service.cc", '#include "services/model/engine/engine.h"')]))


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent)
    self_test()
    paths = [path for top in ("common", "services", "clients") for path in sorted((root / top).rglob("*"))
             if path.suffix in (".h", ".cc")]
    found = list(violations((str(path.relative_to(root)), path.read_text()) for path in paths))
    print("\n".join(found) or f"{len(paths)} files keep to the layers")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
