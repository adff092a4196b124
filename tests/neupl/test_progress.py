"""Progress: plain lines at intervals, a live panel on a terminal, silence when asked."""

import io
import os
import pty
import subprocess
import sys
import time

import pytest

from neupl.progress import Progress


def lines_of(*, quiet: bool = False, interval_s: float = 0.0) -> list[str]:
    stream = io.StringIO()
    with Progress("training", quiet=quiet, interval_s=interval_s, stream=stream) as progress:
        for done in range(0, 1001, 100):
            progress.update(done, 1000, gap=1 / (done + 1), strategies=3)
    return stream.getvalue().splitlines()


def test_plain_lines_carry_title_position_and_figures():
    lines = lines_of()
    assert len(lines) == 11
    assert lines[0] == "training: 0 / 1,000, gap 1, strategies 3"
    assert lines[-1] == "training: 1,000 / 1,000, gap 0.000999, strategies 3"


def test_between_intervals_only_the_first_and_the_last_line_appear():
    assert [line.split(",")[0] for line in lines_of(interval_s=1e6)] == [
        "training: 0 / 1", "training: 1",
    ]  # fmt: skip


def test_quiet_prints_nothing():
    assert lines_of(quiet=True) == []


def test_nothing_is_printed_when_nothing_was_done():
    stream = io.StringIO()
    with Progress("training", stream=stream):
        pass
    assert stream.getvalue() == ""


def test_work_that_is_over_within_the_patience_shows_nothing():
    stream = io.StringIO()
    with Progress("compiling", patience_s=1e6, stream=stream) as progress:
        progress.update(1, 2)
        progress.update(2, 2)
    assert stream.getvalue() == ""


def test_unknown_total_shows_only_what_is_done():
    stream = io.StringIO()
    with Progress("compiling", stream=stream) as progress:
        progress.update(12345, None)
    assert stream.getvalue() == "compiling: 12,345\n"
    assert progress.remaining_s() is None


def test_remaining_time_counts_from_where_a_resumed_run_began(monkeypatch):
    """From 800 of 1000, 50 units in 10 s leave 150 units, which take 30 s."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with Progress("training", stream=io.StringIO()) as progress:
        progress.update(800, 1000)
        assert progress.remaining_s() is None
        clock[0] = 10.0
        progress.update(850, 1000)
        assert progress.remaining_s() == pytest.approx(30.0)


def test_terminal_gets_a_panel_with_bar_figures_and_eta():
    code = (
        "import time; from neupl.progress import Progress\n"
        "with Progress('training [kuhn]') as progress:\n"
        "    progress.update(1, 10); time.sleep(0.1); progress.update(4, 10, nash_conv=0.0123456)\n"
        "print('the end')"
    )
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=theirs, stdout=subprocess.PIPE, env=environment
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(ours)
    stdout, _ = process.communicate(timeout=60)
    text = shown.decode()
    assert process.returncode == 0
    assert stdout == b"the end\n"
    for part in ("training [kuhn]", "4 / 10", "left", "nash_conv", "0.01235", "━"):
        assert part in text


def test_update_costs_microseconds():
    with Progress("training", stream=io.StringIO()) as progress:
        started = time.perf_counter()
        for done in range(10_000):
            progress.update(done, 10_000, gap=0.1)
        assert time.perf_counter() - started < 0.5
