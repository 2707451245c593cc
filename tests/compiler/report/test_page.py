"""The page and its JSON: complete, self-contained, escaped, deterministic."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from spikec.boards.quantity import Quantity
from spikec.compiler.report import Accuracy, Latency, ReportData, Resource, Timing, render
from spikec.compiler.report import style as report_style
from spikec.ir.events import Events, Recording

CONFTEST = Path(__file__).with_name("conftest.py")


class Page(HTMLParser):
    """Elements with their attributes, and whether every one is closed."""

    VOID = frozenset({"meta", "br", "link", "img", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.unclosed: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.unclosed.append(f"{tag} closes {self.open[-1:]}")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def attributes(self, name: str) -> list[str]:
        return [a[name] or "" for _, a in self.elements if name in a]


def page_of(data: ReportData) -> Page:
    return Page(render(data)["report.html"].decode())


def schema() -> Any:
    folder = resources.files("spikec.compiler.report")
    return json.loads((folder / "report.schema.json").read_text(encoding="utf-8"))


MINIMAL = ReportData("nothing", "only a name")
PARTIAL = ReportData(
    "partial",
    "no clock, no limit, no sample",
    resources=(Resource("LUT", Quantity(1, "cells", "here", "fitted")),),
    latency=Latency(np.ones((1, 1, 2), np.int64), "by hand", "fitted", ("a", "b")),
    accuracies=(Accuracy("golden", 0, 0),),
    recordings=(Recording("golden", 1e-3, {"out": Events.from_dense(np.zeros((1, 3, 2)))}, {}),),
)


@pytest.fixture(scope="module")
def page(full_report: ReportData) -> Page:
    return page_of(full_report)


def test_the_page_is_well_formed(page: Page) -> None:
    assert page.unclosed == []
    assert page.open == []


def test_ids_are_unique_and_every_reference_resolves(page: Page) -> None:
    ids = page.attributes("id")
    assert [i for i, n in Counter(ids).items() if n > 1] == []
    wanted = [
        h[1:] for h in [*page.attributes("href"), *page.attributes("xlink:href")] if h[:1] == "#"
    ]
    wanted += re.findall(r"url\(#([^)]+)\)", " ".join(page.attributes("clip-path")))
    assert wanted
    assert set(wanted) <= set(ids)


def test_the_page_needs_nothing_from_outside(full_report: ReportData, page: Page) -> None:
    assert not {"script", "link", "iframe", "img"} & {tag for tag, _ in page.elements}
    for target in [*page.attributes("href"), *page.attributes("xlink:href")]:
        assert target.startswith(("#", "data:image/png;base64,"))
    text = render(full_report)["report.html"].decode()
    addresses = set(re.findall(r"[a-z]+://[^\"\s<]+", text))
    assert addresses <= {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}
    assert "@import" not in text
    assert "url(http" not in text


def test_every_figure_has_an_alternative_text(page: Page) -> None:
    figures = [a for _, a in page.elements if a.get("role") == "img"]
    assert len(figures) == 7  # three rasters, the network, errors, latency, the choice
    assert all(len(a["aria-label"] or "") > 40 for a in figures)
    assert sum(tag == "svg" for tag, _ in page.elements) == len(figures)


def test_the_page_says_what_matters(page: Page) -> None:
    text = " ".join(" ".join(page.text).split())
    for part in (
        "RTL differs from the integer rung",
        "digits.nir",
        "snntorch",
        "sample 0, step 41 (41 ms), population 'hidden', neuron 3",
        "v after step 41: integer 2636, rtl 2653",
        "103.3 % , over by 1".replace(" ,", ","),
        "used: nextpnr-ice40 0.11.1, utilization of report.json",
        "recalled",
        "21.37 MHz",
        "98.15 %",
        "W0404",
        "spikec verify out --json",
        "device: no board is attached",
        "verilator",
        "accumulate 38.4 %",
        "Taken for: fewest cells with at most 200 cycles a step, of 9 that fit",
        "8 lanes and 1 unit taken 188.5 1,990 21",
    ):
        assert part in text, part


def test_a_recalled_number_is_marked(full_report: ReportData) -> None:
    text = render(full_report)["report.html"].decode()
    assert text.count('class="badge recalled"') == 4  # two limits, the clock, and the legend
    assert "badge recalled" not in render(PARTIAL)["report.html"].decode()


def test_timing_that_fails_says_by_how_much() -> None:
    clock = Quantity(48e6, "Hz", "the board", "measured")
    slow = Timing(clock, Quantity(36e6, "Hz", "the tool", "simulated"))
    assert slow.margin == pytest.approx(-0.25)
    text = render(ReportData("slow", "fails", timing=slow))["report.html"].decode()
    assert "Fmax is 25.0 % below the" in text


@pytest.mark.parametrize("data", [MINIMAL, PARTIAL], ids=["minimal", "partial"])
def test_every_part_may_be_missing(data: ReportData) -> None:
    page = page_of(data)
    assert page.unclosed == []
    text = " ".join(" ".join(page.text).split())
    assert "Not in this report" in text
    assert "not part of this run" in text
    jsonschema.Draft202012Validator(schema()).validate(json.loads(render(data)["report.json"]))


def test_json_keeps_its_schema(full_report: ReportData) -> None:
    found = schema()
    jsonschema.Draft202012Validator.check_schema(found)
    data = json.loads(render(full_report)["report.json"])
    jsonschema.Draft202012Validator(found).validate(data)
    assert data["comparisons"][1]["first"]["population"] == "hidden"
    assert data["layers"][1]["rate_error"] == data["comparisons"][0]["populations"][0]["rate_error"]
    assert data["latency"]["microseconds_per_sample"]["clock"]["mean"] == pytest.approx(
        data["latency"]["cycles_per_sample"]["mean"] / 12
    )
    data["surprise"] = 1
    with pytest.raises(jsonschema.ValidationError, match="surprise"):
        jsonschema.Draft202012Validator(found).validate(data)


def test_no_absolute_path_leaves_the_machine(full_report: ReportData) -> None:
    for content in render(full_report).values():
        assert b"somewhere" not in content
    windows = ReportData("w", "v", source="C:\\Users\\me\\net.nir")
    assert json.loads(render(windows)["report.json"])["source"] == "net.nir"
    assert (
        json.loads(render(ReportData("w", "v", source="a/net.nir"))["report.json"])["source"]
        == "a/net.nir"
    )


def test_names_are_escaped() -> None:
    name = "</svg><script>alert('$x$')</script>&\"#2f7fc1"
    events = Events.from_dense(np.eye(3, dtype=np.int64)[None])
    data = ReportData(
        name, name, recordings=(Recording(name, 1e-3, {name: events}, {}),), tools=((name, name),)
    )
    page = page_of(data)
    assert page.unclosed == []
    assert "script" not in {tag for tag, _ in page.elements}
    assert sum(name in text for text in page.text) >= 4


def test_without_matplotlib_there_are_tables(
    full_report: ReportData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_style, "available", lambda: False)
    text = render(full_report)["report.html"].decode()
    assert "<svg" not in text
    assert "pip install &#39;spikec[plot]&#39;" in text
    assert "first difference: sample 0, step 41" in text
    assert Page(text).unclosed == []


def test_same_data_same_bytes_whatever_the_hash_seed(full_report: ReportData) -> None:
    script = (
        "import hashlib, runpy, sys\n"
        "from spikec.compiler.report import render\n"
        f"files = render(runpy.run_path({str(CONFTEST)!r})['make_report']())\n"
        "print(*(hashlib.sha256(c).hexdigest() for c in files.values()))\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    }
    assert len(digests) == 1
    assert render(full_report) == render(full_report)


def test_importing_the_report_imports_no_matplotlib() -> None:
    script = "import sys, spikec.compiler.report; print('matplotlib' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_wilson_interval_against_a_published_table() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3: 81 of 263.
    low, high = Accuracy("rung", 81, 263).interval
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert Accuracy("rung", 0, 0).interval == (0.0, 1.0)


def test_wrong_data_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 3\), not \(samples, steps, 3\)"):
        Latency(np.ones((2, 3), np.int64), "x", "measured")
    with pytest.raises(ValueError, match="no step"):
        Latency(np.ones((2, 0, 3), np.int64), "x", "measured")
    events = Events.from_dense(np.ones((2, 3, 1), np.int64))
    with pytest.raises(ValueError, match="sample 2 of 2"):
        ReportData("a", "b", recordings=(Recording("r", 1e-3, {"o": events}, {}),), sample=2)
