#!/usr/bin/env python3
"""Draws what bench_peers.py measured: recall against queries a second, one SVG a data set; up and right is better.

    plot_peers.py RESULTS.json [FOLDER]

A drawing is lines and words in the coordinates of the SVG, so that nothing has to be installed to make it; where there
is matplotlib, they become a PNG too. A curve joins the settings that no other of its engine beats in both.
"""

import contextlib
import json
import math
import sys
from pathlib import Path
from typing import Any

LOW, WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 0.8, 760, 460, 62, 630, 46, 412  # no recall below LOW is drawn
COLOURS = {
    "kith": "#c8102e", "kith-native": "#f0703c", "kith-table": "#e0559b", "hnswlib": "#111111", "faiss-hnsw": "#1f5fa8",
    "faiss-ivfpqfs": "#58a5dc", "usearch": "#2c8c4a", "scann": "#7d4fb5", "svs": "#8a6a3a", "lancedb": "#b8a200",
    "glass": "#139c9c", "glass-codes": "#7cc6c6", "symqg": "#777777",
}  # fmt: skip
Points = list[tuple[float, float]]  # (recall, queries a second)


def front(points: Points) -> Points:
    """Those that no other beats in both, by rising recall."""
    return sorted(p for p in set(points) if not any(o != p and o[0] >= p[0] and o[1] >= p[1] for o in points))


def speed_at(points: Points, target: float) -> float | None:
    """Log-linear along the front; None when no setting reaches the recall."""
    best = front(points)
    for (r0, s0), (r1, s1) in zip([best[0], *best], best, strict=False):
        if r1 >= target:
            return s1 if r0 >= target else s0 * (s1 / s0) ** ((target - r0) / (r1 - r0))
    return None


def title(run: dict[str, Any]) -> str:
    how = f"all queries in one call, {run['cores']} cores" if run["batch"] else "one query a call, one core"
    return f"{run['set']}: {run['rows']:,} x {run['dim']} {run['dtype']}, {run['metric']}; recall@{run['k']}, {how}"


def drawing(curves: dict[str, Points], heading: str) -> tuple[list, list]:
    """Lines: (points, colour, width). Words: (x, y, which end of them is there, colour, text)."""
    speeds = [speed for points in curves.values() for _, speed in points]
    least, most = min(speeds) / 1.2, max(speeds) * 1.2

    def at(recall: float, speed: float) -> tuple[float, float]:
        x = LEFT + (recall - LOW) / (1 - LOW) * (RIGHT - LEFT)
        return x, BOTTOM - math.log(speed / least) / math.log(most / least) * (BOTTOM - TOP)

    lines: list = []
    words: list = [(LEFT, 20, "start", "#111", heading), (RIGHT, BOTTOM + 38, "end", "#333", "recall")]
    words.append((LEFT, TOP - 8, "end", "#333", "queries/s"))
    for recall in (percent / 100 for percent in range(round(LOW * 100), 101, 5)):
        lines.append(([at(recall, least), at(recall, most)], "#ddd", 1))
        words.append((at(recall, least)[0], BOTTOM + 18, "middle", "#333", f"{recall:.2f}"))
    for speed in (digit * 10**zeros for zeros in range(8) for digit in (1, 2, 5)):
        if least <= speed <= most:
            lines.append(([at(LOW, speed), at(1, speed)], "#ddd", 1))
            words.append((LEFT - 6, at(LOW, speed)[1] + 4, "end", "#333", f"{speed:,}"))
    label = TOP - 15.0
    for below, name in enumerate(sorted(curves, key=lambda name: curves[name][-1][1])[::-1], 1 - len(curves)):
        end = at(*curves[name][-1])
        label = min(max(end[1], label + 15), BOTTOM + 15 * below)
        lines.append(([at(*p) for p in curves[name]], COLOURS[name], 2.6 if name.startswith("kith") else 1.5))
        lines.append(([end, (RIGHT + 14, label)], COLOURS[name], 0.4))
        words.append((RIGHT + 18, label + 4, "start", COLOURS[name], name))
    return lines, words


def as_svg(lines: list, words: list) -> str:
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"']
    out += [' font-size="12" fill="none">', f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>']
    for points, colour, width in lines:
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        out.append(f'<path d="M{path}" stroke="{colour}" stroke-width="{width}"/>')
    for x, y, anchor, colour, text in words:
        out.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{text}</text>')
    return "\n".join([*out, "</svg>\n"])


def save_png(lines: list, words: list, file: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72))  # a point of the page is a unit of the SVG
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    axes.set_axis_off()
    for points, colour, width in lines:
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=width)
    for x, y, anchor, colour, text in words:
        axes.text(x, y, text, ha={"start": "left", "middle": "center", "end": "right"}[anchor], color=colour, size=11)
    figure.savefig(file, dpi=144)


def draw(run: dict[str, Any], folder: Path) -> None:
    curves = {}
    for name, facts in run["engines"].items():
        points = front([(p["recall"], p["queries_s"]) for p in facts.get("points", [])])
        if shown := [p for p in points if p[0] > LOW]:
            curves[name] = ([(LOW, speed_at(points, LOW))] if len(shown) < len(points) else []) + shown
    if not curves:
        return
    drawn, file = drawing(curves, title(run)), folder / f"{run['set']}{'-batch' if run['batch'] else ''}.svg"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(as_svg(*drawn))
    with contextlib.suppress(ModuleNotFoundError):
        save_png(*drawn, file.with_suffix(".png"))


if __name__ == "__main__":
    for measured in json.loads(Path(sys.argv[1]).read_text()):
        draw(measured, Path(sys.argv[2] if len(sys.argv) > 2 else "."))
