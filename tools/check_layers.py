#!/usr/bin/env python3
"""Fails on an include that is not an arrow of the design, and on what else only reading would find.

The arrows are the list below and nothing else; ARCHITECTURE.md draws them. A file may include the headers of its
own room, and of the rooms its room points to. A private header (x_private.h) stays in its room. No file name occurs
twice in the tree. malloc and its kin are called in src/base/alloc.c only.
"""
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONTRACT = {"kith.h", "kith_arrow.h"}
ARROWS = {
    "api": "query table filter column index kernels storage",
    "query": "table filter index column kernels",
    "table": "index storage column filter",
    "filter": "column storage",
    "index": "quant learn kernels storage cache",
    "quant": "learn kernels",
    "learn": "kernels",
    "column": "storage cache",
    "storage": "cache io",
    "cache": "io",
    "io": "",
    "kernels": "",
    "parallel": "",
    "base": "",
}
EVERYWHERE = "base parallel".split()
FACES = ["cli", "python", "examples"]


def includes(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if found:
            yield number, found.group(1)


def main():
    problems = []
    names = collections.defaultdict(list)
    for room, below in ARROWS.items():
        allowed = {room, *below.split()} | ({*EVERYWHERE} if room not in EVERYWHERE else {"base"})
        for path in sorted((ROOT / "src" / room).rglob("*.[ch]")):
            where = path.relative_to(ROOT)
            for number, name in includes(path):
                if name in CONTRACT:
                    continue
                target = name.split("/")[0] if "/" in name else None
                header = ROOT / "src" / name
                if target is None or not (header.exists() or header.with_suffix(".y").exists()):  # made of a grammar
                    problems.append(f"{where}:{number}: \"{name}\": give the path from src/")
                elif target not in allowed:
                    problems.append(f"{where}:{number}: {room} must not include {name}")
                elif name.endswith("_private.h") and target != room:
                    problems.append(f"{where}:{number}: {name} is private to {target}")
            text = re.sub(r"/\*.*?\*/|//[^\n]*|\"(\\.|[^\"])*\"", "", path.read_text(), flags=re.S)
            if where.as_posix() != "src/base/alloc.c" and re.search(r"\b(malloc|calloc|realloc|strdup|asprintf)\s*\(", text):
                problems.append(f"{where}: allocate through base/alloc.h")
            if path.suffix == ".c" and not path.read_text().startswith("/*"):
                problems.append(f"{where}: a file opens with what it knows")
    for face in FACES:
        for path in sorted((ROOT / face).rglob("*.[ch]")):
            for number, name in includes(path):
                if name not in CONTRACT and not (path.parent / name).exists():
                    problems.append(f"{path.relative_to(ROOT)}:{number}: {face} sees include/ only, not {name}")
    for path in [*(ROOT / "src").rglob("*.[ch]"), *(ROOT / "cli").rglob("*.[ch]"), *(ROOT / "python").rglob("*.[ch]")]:
        names[path.name].append(path.relative_to(ROOT).as_posix())
    problems += [f"{name} occurs twice: {', '.join(places)}" for name, places in names.items() if len(places) > 1]
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"layers: {len(names)} files, {len(problems)} problems")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
