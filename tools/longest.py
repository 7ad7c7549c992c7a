#!/usr/bin/env python3
"""Prints the longest functions and files: what to look at first when something feels heavy. Never fails."""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
functions, files = [], []
for path in sorted([*(ROOT / "src").rglob("*.c"), *(ROOT / "cli").rglob("*.c"), *(ROOT / "python").rglob("*.c")]):
    lines = path.read_text().splitlines()
    files.append((len(lines), path))
    start = None
    for number, line in enumerate(lines):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            head = next((l for l in reversed(lines[:start]) if re.match(r"\w.*\(", l)), "?")
            name = re.search(r"(\w+)\(", head)
            functions.append((number - start - 1, name.group(1) if name else "?", path))
            start = None
functions.sort(key=lambda f: -f[0])
lengths = sorted(f[0] for f in functions)
print(f"{len(files)} files, {sum(f[0] for f in files)} lines; {len(lengths)} functions, "
      f"median {lengths[len(lengths) // 2]}, 90th percentile {lengths[len(lengths) * 9 // 10]}")
for length, name, path in functions[:10]:
    print(f"{length:5}  {name}  {path.relative_to(ROOT)}")
for length, path in sorted(files, reverse=True, key=lambda f: f[0])[:5]:
    print(f"{length:5}  {path.relative_to(ROOT)}")
