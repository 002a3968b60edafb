"""Bars of slow work: only where they are asked for, on terminals at once, in logs as lines, of the first process."""

import io
from contextlib import redirect_stderr as to

import pytest

from motionmillion import progress
from motionmillion.progress import doing, progress_bar, say, shown, tracked


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_at_once_and_clears_it() -> None:
    terminal = Terminal()
    with to(terminal), shown():
        items = tracked([1, 2, 3], "reading", "clips")
        assert next(items) == 1
        assert "reading: 0/3 clips" in terminal.getvalue()
        assert [*items] == [2, 3]
    assert terminal.getvalue().split("\r")[-2].strip() == ""  # the line is blank again


def test_nothing_is_drawn_unless_it_is_asked_for() -> None:
    terminal = Terminal()
    with to(terminal):
        assert list(tracked([1, 2], "reading")) == [1, 2]
        with doing("loading"):
            pass
    assert terminal.getvalue() == ""


def test_a_single_item_has_no_bar() -> None:
    terminal = Terminal()
    with to(terminal), shown():
        assert list(tracked([7], "reading")) == [7]
    assert terminal.getvalue() == ""


def test_work_of_unknown_length_is_named() -> None:
    terminal = Terminal()
    with to(terminal), shown(), doing("building") as name:
        assert "building ..." in terminal.getvalue()
        name("timing")
        assert "timing ..." in terminal.getvalue()


def test_quick_work_leaves_a_log_empty() -> None:
    log = io.StringIO()
    with to(log), shown(), doing("loading"):
        assert list(tracked(range(50), "reading")) == list(range(50))
    assert log.getvalue() == ""


def test_slow_work_leaves_lines_in_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(progress, "_LOG_INTERVAL", 0.0)
    with to(log), shown(), progress_bar(4, "tokenizing", "clips", done=1) as bar:
        bar.update(2)
        say("left out one")
    lines = log.getvalue().splitlines()
    assert lines[-1] == "left out one"
    assert any(line.startswith("tokenizing: 3/4 clips, ") and line.endswith(" left") for line in lines)
    assert "\r" not in log.getvalue()


def test_only_the_first_of_several_processes_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setenv("RANK", "1")
    with to(terminal), shown():
        say("hello")
        assert list(tracked([1, 2], "reading")) == [1, 2]
    assert terminal.getvalue() == ""


def test_a_loop_that_is_left_early_clears_its_bar() -> None:
    terminal = Terminal()
    with to(terminal), shown():
        for item in tracked(range(100), "generating", "codes"):
            if item == 3:
                break
    assert terminal.getvalue().split("\r")[-2].strip() == ""


def test_a_line_above_a_bar_keeps_the_bar() -> None:
    terminal = Terminal()
    with to(terminal), shown():
        for item in tracked([1, 2], "writing"):
            say(f"wave-{item}.html")
    lines = [part.strip() for part in terminal.getvalue().replace("\r", "\n").splitlines()]
    assert "wave-1.html" in lines and "wave-2.html" in lines
