"""Python imports this when it starts. It notes which definitions of the library a script of the workflow runs."""

import atexit
import json
import os
import sys
import threading
from inspect import CO_OPTIMIZED
from pathlib import Path

ran: set[tuple[str, str]] = set()
seen = set()
scripts = [Path(argument) for argument in sys.orig_argv if ".snakemake/scripts" in argument]


def note(frame, *_):
    code = frame.f_code
    if code in seen:
        return
    seen.add(code)
    if not code.co_flags & CO_OPTIMIZED:  # the body of a module or a class, which runs when it is imported
        return
    module = frame.f_globals.get("__name__") or ""
    if module.split(".")[0] == "rainshaft":
        ran.add((module, code.co_qualname.split(".")[0]))


def write():
    sys.settrace(None)
    script = scripts[0].stem.split(".", 1)[1]  # Snakemake puts a word of its own before the name
    modules = sorted(name for name in sys.modules if name.split(".")[0] == "rainshaft")
    path = Path(os.environ["RAINSHAFT_RECORD"]) / f"{script}-{os.getpid()}.json"
    path.write_text(json.dumps({"script": script, "ran": sorted(ran), "modules": modules}), encoding="utf-8")


if scripts and "RAINSHAFT_RECORD" in os.environ:
    sys.settrace(note)  # unlike a profile function, it is not called for functions in C
    threading.settrace(note)
    atexit.register(write)
