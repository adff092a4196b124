"""What commands print: strict JSON, and tables that lose nothing in a pipe."""

import json

import numpy as np

from neupl.cli.output import print_json, print_table


def test_json_is_one_strict_line_of_plain_values(capsys):
    content = {
        "gap": np.float64(0.5),
        "bad": float("nan"),
        "worse": [np.inf, 1],
        "payoffs": np.eye(2, dtype=np.float32),
        "count": np.int32(3),
        "tuple": (True, None, "x"),
        3: {"nested": np.array(2.0)},
    }
    print_json(content)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert json.loads(printed, parse_constant=lambda name: name) == {
        "gap": 0.5,
        "bad": None,
        "worse": [None, 1],
        "payoffs": [[1.0, 0.0], [0.0, 1.0]],
        "count": 3,
        "tuple": [True, None, "x"],
        "3": {"nested": 2.0},
    }


def test_table_in_a_pipe_shows_every_cell_in_full(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    long = "goofspiel(" + ",".join(f"parameter{i}={i}" for i in range(20)) + ")"
    print_table([("a", long), ("[b]", "[/red]")], header=("name", "value"), title="Games")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "Games"
    assert any("a" in line and long in line for line in lines)
    assert any("[b]" in line and "[/red]" in line for line in lines)
