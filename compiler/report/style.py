"""What all figures share: colours, matplotlib's settings, and SVG fit to stand inside a page.

matplotlib is imported when a figure is drawn, never before; ``available`` tells whether it can be.
The same data gives the same bytes: ids come from a fixed salt, and no date is written.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import util
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Form = Literal["svg", "png"]

# Okabe and Ito's palette, which stays apart under every common colour blindness. Each role has a
# value of its own, so that a page can give it another one on a dark ground (``themed``).
INK, MUTED, GRID = "#1b1f24", "#57606a", "#d8dee4"
SPIKE, WRONG, WINNER = "#2f7fc1", "#c8102f", "#b35900"
PHASES: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9")
BAR, BOX, SOURCE_BOX, READ_BOX, PAPER = "#0072b3", "#e3eefa", "#eef2f5", "#fdf0d9", "#fffffe"

ROLES: Final[Mapping[str, str]] = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    SPIKE: "spike",
    WRONG: "wrong",
    WINNER: "winner",
    **{colour: f"phase-{k}" for k, colour in enumerate(PHASES)},
    BAR: "bar",
    BOX: "box",
    SOURCE_BOX: "source-box",
    READ_BOX: "read-box",
    PAPER: "paper",
}


@dataclass(frozen=True)
class Plot:
    """A figure with what a reader who cannot see it is told, and notes on how it was drawn."""

    name: str
    title: str
    svg: str
    alt: str
    notes: tuple[str, ...] = ()


def clip(text: str, most: int) -> str:
    """At most so many characters; an ellipsis stands for the rest."""
    return text if len(text) <= most else text[: most - 1] + "…"


def available() -> bool:
    """Whether matplotlib is there: the extra ``plot``."""
    return util.find_spec("matplotlib") is not None


def themed(svg: str) -> str:
    """The figure with each colour as a CSS variable ``--fig-ROLE``, its own value as fallback."""

    def variable(match: re.Match[str]) -> str:
        role = ROLES.get(match[2])
        return match[0] if role is None else f"{match[1]}: var(--fig-{role}, {match[2]})"

    svg = re.sub(r"(fill|stroke): (#[0-9a-f]{6})", variable, svg)
    return re.sub(r"font-family: [^;\"]+", "font-family: var(--fig-font, sans-serif)", svg)


@contextmanager
def style(salt: str) -> Iterator[None]:
    """matplotlib's defaults whatever the user has set, then ours; the user's come back after."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "svg.fonttype": "none",
                "svg.hashsalt": f"spikec-{salt}",
                "path.simplify": False,
                "text.parse_math": False,
                "font.family": ["DejaVu Sans"],
                "font.size": 9.5,
                "axes.titlesize": 10.5,
                "axes.titlelocation": "left",
                "axes.edgecolor": MUTED,
                "axes.labelcolor": INK,
                "axes.titlecolor": INK,
                "axes.facecolor": "none",
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.linewidth": 0.8,
                "text.color": INK,
                "xtick.color": MUTED,
                "ytick.color": MUTED,
                "xtick.labelcolor": INK,
                "ytick.labelcolor": INK,
                "grid.color": GRID,
                "grid.linewidth": 0.7,
                "axes.axisbelow": True,
                "figure.facecolor": "none",
                "savefig.facecolor": "none",
                "legend.frameon": False,
                "legend.fontsize": 9.0,
                "legend.labelcolor": INK,
            }
        )
        yield


def to_bytes(figure: Figure, name: str, form: Form) -> bytes:
    """The figure as a file of its own; ``name`` tells its ids from those of other figures."""
    if form == "svg":
        return to_svg(figure, name).encode()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an SVG element without prologue or style sheet."""
    buffer = io.BytesIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(buffer, format="svg", metadata=nothing)
    return _tidy(buffer.getvalue().decode(), name)


def _tidy(svg: str, name: str) -> str:
    """Made fit to stand inside a page, and smaller.

    A page must hold each id once, a style sheet inside an SVG would rule the whole page, and two
    decimals of a point are finer than any screen.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = svg.replace("<svg ", '<svg stroke-linejoin="round" ', 1)
    used = set(re.findall(r"(?:href=\"#|url\(#)([^\")]+)", svg))
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower())

    def identify(match: re.Match[str]) -> str:
        return f' id="{slug}-{match[1]}"' if match[1] in used else ""

    svg = re.sub(r' id="([^"]*)"', identify, svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{slug}-", svg)

    def shorten(match: re.Match[str]) -> str:
        # A scale is multiplied by all the columns of an image.
        if "matrix" in match[2] or "scale" in match[2]:
            return match[0]
        return match[1] + re.sub(r"-?\d+\.\d{3,}", _two_decimals, match[2])

    svg = re.sub(
        r"( (?:d|x|y|x1|y1|x2|y2|points|transform|width|height)=)(\"[^\"]*\")", shorten, svg
    )
    svg = svg.replace(" \n", " ").replace('transform="rotate(-0', 'transform="rotate(0')
    return re.sub(r"\s*\n\s*", "\n", svg).strip() + "\n"


def _two_decimals(match: re.Match[str]) -> str:
    return f"{float(match[0]):.2f}".rstrip("0").rstrip(".")
