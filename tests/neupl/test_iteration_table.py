"""The live table of a solve: the last iterations on a terminal, plain lines elsewhere."""

import io
import os
import pty
import re
import subprocess
import sys

from neupl.iteration_table import IterationTable


def test_pipe_gets_the_lines_of_a_progress():
    stream = io.StringIO()
    with IterationTable("solving", stream=stream) as table:
        for done in range(1, 21):
            table.update(done, None, gap=1 / done, policies=f"{done} {done}")
    lines = stream.getvalue().splitlines()
    assert lines == [
        "solving: 1, gap 1, policies 1 1",
        "solving: 20, gap 0.05, policies 20 20",
    ]


def test_terminal_gets_a_row_for_each_of_the_last_iterations():
    code = (
        "from neupl.iteration_table import IterationTable\n"
        "with IterationTable('solving [kuhn]') as table:\n"
        "    for done in range(1, 31):\n"
        "        table.update(done, None, gap=1 / done, policies=f'{done} {done + 1}')\n"
    )
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen([sys.executable, "-c", code], stderr=theirs, env=environment)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(ours)
    assert process.wait(timeout=60) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert "solving [kuhn]" in text
    # What was drawn last: the header and twelve rows.
    last = [line.split() for line in text.rpartition("iteration")[2].splitlines()]
    assert last[0] == ["gap", "policies"]
    rows = [line for line in last if line and line[0].isdigit()]
    assert [int(row[0]) for row in rows] == list(range(19, 31))
    assert rows[-1] == ["30", "0.03333", "30", "31"]
