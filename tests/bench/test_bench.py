"""Measurements print the agreed JSON, and the page shows all of it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
SCRIPTS = sorted(p for p in BENCH.glob("*.py") if not p.name.startswith("_"))
NUMBER = {"type": "number"}
SCHEMA = {
    "type": "object",
    "required": ["results", "host", "versions", "seed"],
    "additionalProperties": False,
    "properties": {
        "host": {"type": "string"},
        "versions": {"type": "object", "additionalProperties": {"type": "string"}},
        "seed": {"type": "integer"},
        "results": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": "name ours unit goal meets peer peer_value ratio how".split(),  # noqa: SIM905
                "properties": {
                    "name": {"type": "string"},
                    "ours": NUMBER,
                    "unit": {"type": "string"},
                    "goal": {"type": ["number", "null"]},
                    "meets": {"type": ["boolean", "null"]},
                    "peer": {"type": ["string", "null"]},
                    "peer_value": {"type": ["number", "null"]},
                    "ratio": {"type": ["number", "null"]},
                    "how": {"type": "string"},
                },
            },
        },
    },
}
RESULT: dict[str, Any] = {
    "name": "events <fast>",
    "ours": 3.2e8,
    "unit": "1/s",
    "goal": 2e8,
    "meets": True,
    "peer": "Brian2",
    "peer_value": 4.0e7,
    "ratio": 8.0,
    "how": "4 & 5",
}


def module(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


@pytest.mark.slow
def test_the_integer_executor_measures_itself_and_brian() -> None:
    script = BENCH / "integer_executor.py"
    done = subprocess.run(
        [sys.executable, str(script), "--json", "--quick"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    jsonschema.validate(found, SCHEMA)
    for result in found["results"]:
        assert result["meets"] == (result["ours"] >= result["goal"])
        assert result["ratio"] == pytest.approx(result["ours"] / result["peer_value"])


def test_our_network_is_seeded() -> None:
    bench = module("integer_executor")
    load = bench.Load("x", 90.0, 20)
    first, second = bench.build(load), bench.build(load)
    assert first == second
    ours = bench.run_ours(*first)
    assert ours.events == bench.peer_events(ours.spikes, first[1])


def test_the_page_shows_every_result(tmp_path: Path) -> None:
    missed = {**RESULT, "name": "slow", "ours": 1e6, "meets": False}
    alone = {**RESULT, "name": "alone", "peer": None, "peer_value": None, "ratio": None}
    bare = {**alone, "name": "bare", "goal": None, "meets": None}
    found = {
        "results": [RESULT, missed, alone, bare],
        "host": "x86",
        "versions": {"numpy": "2"},
        "seed": 1,
    }
    jsonschema.validate(found, SCHEMA)
    (tmp_path / "one.json").write_text(json.dumps(found))
    (tmp_path / "two.json").write_text(json.dumps(found))
    script = BENCH / "_page.py"
    subprocess.run([sys.executable, str(script), str(tmp_path)], check=True, capture_output=True)
    page = (tmp_path / "index.html").read_text()
    assert page.count("<h2>") == 2
    assert "events &lt;fast&gt;" in page and "4 &amp; 5" in page
    assert page.count('class="missed"') == 2 and page.count('class="met"') == 4
    assert page.count("<tr>") == 2 * 5
    assert "320 M" in page and "8.00 x" in page
    assert "http" not in page
