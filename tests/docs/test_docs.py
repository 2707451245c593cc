"""The code blocks of README.md and docs/*.md do what the pages say."""

import contextlib
import doctest
import importlib
import importlib.util
import io
import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
FENCE = re.compile(r"```(?P<language>\w*)\s*$")
COMMENT = re.compile(r"<!-- (?:(?P<slow>slow)|not run: (?P<reason>.+)) -->$")


@dataclass(frozen=True)
class Block:
    """A fenced block: language, text, the number of its first line, and how it is to be run."""

    language: str
    text: str
    line: int
    slow: bool
    run: bool


@dataclass(frozen=True)
class Command:
    """A `$ spikec ...` line and the output that follows it on the page."""

    arguments: tuple[str, ...]
    wanted: str
    line: int


def blocks(page: str) -> Iterator[Block]:
    lines = page.splitlines()
    start = 0
    while start < len(lines):
        fence = FENCE.match(lines[start])
        if fence is None:
            assert not lines[start].startswith("```"), f"line {start + 1}: odd fence"
            start += 1
            continue
        end = lines.index("```", start + 1)
        comment = COMMENT.match(lines[start - 1]) if start else None
        yield Block(
            language=fence["language"],
            text="\n".join(lines[start + 1 : end]) + "\n",
            line=start + 2,
            slow=comment is not None and comment["slow"] is not None,
            run=comment is None or comment["reason"] is None,
        )
        start = end + 1


def commands(block: Block) -> Iterator[Command]:
    lines = block.text.splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("$ ")] + [len(lines)]
    for start, end in itertools.pairwise(starts):
        words = shlex.split(lines[start][2:], comments=True)
        if words[:1] == ["spikec"]:
            wanted = "\n".join(lines[start + 1 : end])
            yield Command(tuple(words[1:]), wanted.strip(), block.line + start)


def run_python(block: Block, page: str, namespace: dict[str, Any]) -> None:
    if ">>> " in block.text:
        test = doctest.DocTestParser().get_doctest(
            block.text, namespace, page, page, block.line - 1
        )
        report: list[str] = []
        runner = doctest.DocTestRunner(optionflags=FLAGS)
        runner.run(test, out=report.append, clear_globs=False)
        namespace.update(test.globs)
        assert not runner.failures, "".join(report)
    else:
        code = compile("\n" * (block.line - 1) + block.text, page, "exec")
        exec(code, namespace)


def run_command(command: Command, page: str) -> None:
    invoke = importlib.import_module("spikec.compiler.cli.main").invoke
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = invoke(list(command.arguments))
    output = said.getvalue()
    where = f"{page}:{command.line}: spikec {shlex.join(command.arguments)}"
    if not command.wanted:
        assert status == 0, f"{where}\n{output}"
        return
    checker = doctest.OutputChecker()
    example = doctest.Example(where, command.wanted + "\n")
    if not checker.check_output(example.want, output.strip() + "\n", FLAGS):
        pytest.fail(f"{where}\n{checker.output_difference(example, output, FLAGS)}")


def run_page(page: Path, *, slow: bool) -> None:
    name = page.relative_to(ROOT).as_posix()
    namespace: dict[str, Any] = {"__name__": "__page__"}
    for block in blocks(page.read_text()):
        if not block.run or (block.slow and not slow):
            continue
        if block.language == "python":
            run_python(block, name, namespace)
        for command in commands(block) if block.language == "console" else ():
            run_command(command, name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
@pytest.mark.parametrize("slow", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_page(page: Path, slow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if slow and not any(block.slow for block in blocks(page.read_text())):
        pytest.skip("the page has no slow block")
    monkeypatch.chdir(tmp_path)
    run_page(page, slow=slow)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not (page.parent / target).exists()] == []


FOLDERS = "backends|bench|boards|compiler|examples|hdl|ir|pynn|tests"
FILES = re.compile(rf"(?<![\w/.-])(?:{FOLDERS})/[\w./*-]*[\w*/]")
TEST = re.compile(r"`(test_\w+\.py)\b")


def stale(page: str) -> list[str]:
    """Files of the checkout that a page names and that are none, and tests that no folder has.

    ``*`` and ``NAME`` stand for any name.
    """
    files = [name for name in FILES.findall(page) if not any(ROOT.glob(name.replace("NAME", "*")))]
    tests = [name for name in TEST.findall(page) if not any((ROOT / "tests").rglob(name))]
    return files + tests


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_are_named_exist(page: Path) -> None:
    assert stale(page.read_text()) == []


def test_files_that_do_not_exist_are_noticed() -> None:
    assert stale("`pytest tests/docs/test_docs.py -k x`, `test_docs.py`, `tests/docs/`") == []
    assert (
        stale("`tests/*/test_docs.py`, boards/NAME.toml. [x](../examples/none), out/bench/x") == []
    )
    gone = ["bench/none.py", "tests/docs/test_none.py", "backends/none/*", "test_none.py"]
    assert stale("`python {}` ({}), `{}` and `{} -x`".format(*gone)) == gone


def test_readme_names_make_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"(?:`|\$ )make ([a-z-]+)", page.read_text()):
            assert f"\n{target}:" in makefile, f"{page.name}: make {target}"


class TestRunner:
    """The runner itself: what it must notice."""

    def page(self, tmp_path: Path, text: str) -> None:
        for block in blocks(text):
            if block.run and block.language == "python":
                run_python(block, "page.md", {})

    def test_error_names_the_line_of_the_page(self, tmp_path: Path) -> None:
        with pytest.raises(ZeroDivisionError) as caught:
            self.page(tmp_path, "text\n\n```python\nx = 1\nx / 0\n```\n")
        assert caught.traceback[-1].lineno + 1 == 5

    def test_wrong_output_fails(self, tmp_path: Path) -> None:
        with pytest.raises(AssertionError, match="Expected"):
            self.page(tmp_path, "```python\n>>> 1 + 1\n3\n```\n")

    def test_block_with_a_reason_is_not_run(self, tmp_path: Path) -> None:
        self.page(tmp_path, "<!-- not run: needs a board -->\n```python\n1 / 0\n```\n")

    def test_block_without_a_reason_is_run(self, tmp_path: Path) -> None:
        with pytest.raises(ZeroDivisionError):
            self.page(tmp_path, "<!-- not run: -->\n```python\n1 / 0\n```\n")

    def test_console_block_splits_into_commands(self) -> None:
        text = "```console\n$ make demo\n$ spikec show 'a b' # why\nout\n$ spikec doctor\n```\n"
        (block,) = blocks(text)
        assert list(commands(block)) == [
            Command(("show", "a b"), "out", 3),
            Command(("doctor",), "", 5),
        ]

    def test_unclosed_block_is_refused(self) -> None:
        with pytest.raises(ValueError, match="is not in list"):
            list(blocks("```python\n1\n"))
