"""Render every JSON result of a folder as one HTML page: `python bench/_page.py out/bench`."""

from __future__ import annotations

import html
import json
import sys
from pathlib import Path
from typing import Any

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em;
       color: #1a1a1a; background: #fff }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3em .8em .3em 0; border-bottom: 1px solid #ddd;
         vertical-align: top }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.missed { color: #b00020; font-weight: 600 } .met { color: #0a6b2d }
.how { color: #555; font-size: 13px } svg { display: block; margin-top: .3em }
@media (prefers-color-scheme: dark) {
  body { background: #16181d; color: #e6e6e6 } th, td { border-color: #3a3f4a }
  .how { color: #aab } .missed { color: #ff7b8a } .met { color: #6fd08c }
}
"""
_WIDTH = 220


def number(x: Any) -> str:
    if x is None:
        return "–"
    for scale, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(x) >= scale:
            return f"{x / scale:.3g}{letter}"
    return f"{x:.3g}"


def bars(result: dict[str, Any]) -> str:
    """Ours, the peer's value and the goal as bars on one linear scale from zero."""
    named = [("ours", result["ours"], "#2f6fde"), ("peer", result["peer_value"], "#8a8f98")]
    values = [(n, v, c) for n, v, c in named if v is not None]
    most = max([v for _, v, _ in values] + [result["goal"] or 0.0]) or 1.0
    parts = []
    for row, (name, value, colour) in enumerate(values):
        width = max(_WIDTH * value / most, 1.0)
        parts.append(
            f'<rect x="0" y="{14 * row}" width="{width:.1f}" height="11" fill="{colour}">'
            f"<title>{name}: {number(value)} {html.escape(result['unit'])}</title></rect>"
        )
    if result["goal"]:
        x = _WIDTH * result["goal"] / most
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{14 * len(values)}" stroke="#d9822b" '
            f'stroke-width="2"><title>goal: {number(result["goal"])}</title></line>'
        )
    height = 14 * len(values)
    label = "ours (blue), peer (grey), goal (orange line)"
    return f'<svg width="{_WIDTH + 2}" height="{height}" role="img" aria-label="{label}">' + (
        "".join(parts) + "</svg>"
    )


def row(result: dict[str, Any]) -> str:
    met = {True: '<span class="met">met</span>', False: '<span class="missed">missed</span>'}
    goal = f"{number(result['goal'])} {met.get(result['meets'], '')}"
    ratio = "–" if result["ratio"] is None else f"{result['ratio']:.2f} x"
    return (
        f"<tr><td>{html.escape(result['name'])}{bars(result)}"
        f'<div class="how">{html.escape(result["how"])}</div></td>'
        f'<td class="number">{number(result["ours"])}<br>{html.escape(result["unit"])}</td>'
        f'<td class="number">{goal}</td>'
        f'<td class="number">{number(result["peer_value"])}<br>'
        f"{html.escape(result['peer'] or '')}</td>"
        f'<td class="number">{ratio}</td></tr>'
    )


def section(name: str, found: dict[str, Any]) -> str:
    versions = ", ".join(f"{k} {v}" for k, v in found["versions"].items())
    return (
        f"<h2>{html.escape(name)}</h2><table><tr><th>what</th><th>ours</th><th>goal</th>"
        f"<th>peer</th><th>ratio</th></tr>{''.join(map(row, found['results']))}</table>"
        f'<p class="how">{html.escape(found["host"])}; {html.escape(versions)}; seed '
        f"{found['seed']}</p>"
    )


def page(results: dict[str, dict[str, Any]]) -> str:
    body = "".join(section(name, found) for name, found in results.items())
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>spikec measurements</title>'
        f"<style>{STYLE}</style><h1>spikec measurements</h1>"
        "<p>Peers of the integer executor, of mapping and of SpiNNaker ran beside them, on this "
        "machine; where there is none to run, one way of ours is the peer of another. Those "
        "of circuits have the figures that they publish, or that their own sources gave in "
        "simulation and synthesis. Bars start at zero: ours is blue, the peer grey, the goal an "
        "orange line.</p>"
        f"{body}</html>\n"
    )


def main() -> None:
    folder = Path(sys.argv[1])
    files = sorted(folder.glob("*.json"))
    results = {f.stem: json.loads(f.read_text(encoding="utf-8")) for f in files}
    target = folder / "index.html"
    target.write_text(page(results), encoding="utf-8")
    print(f"wrote {target}")


if __name__ == "__main__":
    main()
