"""`neupl rate` as a user runs it: tables, one JSON object, one clear error."""

import json
from pathlib import Path

import pytest

from evaluation.ratings import METHODS
from evaluation.readers import FORMATS
from neupl.cli import main
from neupl.cli.rate import COMPANIONS, TENSOR_COMPANIONS

BATTLES = (
    "model_a,model_b,winner\n" + "a,b,model_a\nb,c,model_a\nc,a,tie\nc,b,model_a\nb,a,tie\n" * 9
)
PAIRS = "prompt,topic,model_a,model_b,outcome\n" + "".join(
    f"q{q},t{q // 2},m{i},m{j},{(q * 7 + i * 3 + j * 5) % 3 / 2}\n"
    for q in range(8)
    for i in range(4)
    for j in range(i)
)


@pytest.fixture
def data(tmp_path):
    """Files that the command finds where it runs."""
    (tmp_path / "battles.csv").write_text(BATTLES)
    (tmp_path / "pairs.csv").write_text(PAIRS)
    return tmp_path


def test_table_says_ranks_ratings_and_the_certificate(neupl, data):
    done = neupl("rate", "pairs.csv", "--method", "cce,bradley_terry", "--bootstrap", "20")
    assert done.returncode == 0, done.stderr
    header, _, *rows = done.stdout.splitlines()
    assert header.split() == ["rank", "model", "cce", "95", "%", "group", "mass", "bradley_terry"]
    assert {row.split()[1] for row in rows[:4]} == {"m0", "m1", "m2", "m3"}
    assert rows[0].split()[2] == "0.00000"
    assert "cce_gain" in done.stdout
    assert "halves of the prompts" in done.stdout


def test_json_is_one_object_best_first(neupl, data):
    done = neupl("rate", "pairs.csv", "--groups", "topic", "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    content = json.loads(done.stdout)
    assert content["method"] == "cce"
    certificate = content["certificate"]
    assert certificate["quantity"] == "cce_gain" and certificate["method"] == "exact"
    assert 0 <= certificate["value"] <= 1e-6
    assert len(certificate["per_player"]) == 3
    ratings = [entry["rating"] for entry in content["ratings"]]
    assert ratings[0] == pytest.approx(0, abs=1e-8)
    ranks = [entry["rank"] for entry in content["ratings"]]
    assert ranks == sorted(ranks)
    assert set(content["ratings"][0]) == {
        "name",
        "rating",
        "rank",
        "interval",
        "tied_group",
        "mass",
    }
    assert sum(content["prompt_masses"].values()) == pytest.approx(1)


def test_copies_are_looked_for_in_outcomes_and_texts(data, monkeypatch, capsys):
    monkeypatch.chdir(data)
    common = "sort these forty numbers by size and say which of them are prime please now"
    rows = "prompt,text,model_a,model_b,outcome\n" + "".join(
        f"q{q},{common if q > 5 else ' '.join(f'w{17 * q + k}' for k in range(14))},"
        f"m{i},m{j},{(q * q + 5 * q * i + i * 3 + j * 5) % 7 / 6}\n"
        for q in range(12) for i in range(5) for j in range(i)
    )  # fmt: skip
    (data / "texts.csv").write_text(rows)
    assert main(["rate", "texts.csv", "--groups", "found", "--texts", "text", "--quiet"]) == 0
    assert "6 prompts are taken for 1 prompts that were judged again" in capsys.readouterr().out


def test_audit_is_in_the_json_and_under_the_table(data, monkeypatch, capsys):
    monkeypatch.chdir(data)
    arguments = ["rate", "pairs.csv", "--audit", "--quiet"]
    assert main([*arguments, "--json"]) == 0
    audit = json.loads(capsys.readouterr().out)["redundancy"]
    assert set(audit) == {"findings", "copies", "near", "noise_measured", "curves", "clones"}
    assert {point["rater"] for curve in audit["curves"] for point in curve["points"]} == {
        "bradley_terry",
        "win_rate",
        "cce",
        "cce_grouped",
        "cce_found",
    }
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "Redundancy: rank (rating) of the model whose prompts are copied" in shown
    assert all(f"- {finding}" in shown for finding in audit["findings"])


def test_battles_without_prompts_are_one_game(neupl, data):
    done = neupl("rate", "battles.csv", "--json", "--method", "bradley_terry,elo,cce")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    low, high = content["ratings"][0]["interval"]
    assert low < content["ratings"][0]["rating"] < high
    assert [other["method"] for other in content["others"]] == ["elo", "cce"]
    assert content["others"][1]["certificate"]["value"] <= 1e-6


def test_style_control_stands_in_the_report_where_lengths_are_known(data, monkeypatch, capsys):
    rows = BATTLES.splitlines()
    lengths = [f"{rows[0]},length_a,length_b"]
    lengths += [f"{row},{30 + 7 * k % 50},{20 + 5 * k % 60}" for k, row in enumerate(rows[1:])]
    (data / "styled.csv").write_text("\n".join(lengths))
    monkeypatch.chdir(data)
    assert main(["rate", "styled.csv", "--method", "style_control", "--style", "length"]) == 0
    assert "length " in capsys.readouterr().out
    assert main(["rate", "styled.csv", "--report", "out.html", "--json", "--quiet"]) == 0
    others = json.loads(capsys.readouterr().out)["others"]
    assert [other["method"] for other in others] == [*COMPANIONS[:3], "copeland", "style_control"]


def test_battles_that_leave_pairs_out_are_rated_by_bradley_terry_and_told_why(neupl, data):
    rows = PAIRS.splitlines(keepends=True)
    (data / "sparse.csv").write_text(rows[0] + "".join(rows[1::4] + rows[2::4] + rows[3::4]))
    done = neupl("rate", "sparse.csv", "--json")
    content = json.loads(done.stdout)
    assert content["method"] == "bradley_terry"
    assert "none of the 8 prompts" in content["notes"][0]


def test_names_that_would_act_on_a_terminal_are_shown(data, monkeypatch, capsys):
    header, rows = BATTLES.split("\n", 1)
    (data / "names.csv").write_text(header + "\n" + rows.replace("a,", "[bold]\x1b[31ma,"))
    monkeypatch.chdir(data)
    assert main(["rate", "names.csv"]) == 0
    printed = capsys.readouterr().out
    assert "[bold]\\x1b[31ma " in printed and "\x1b" not in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.csv"], "absent.csv: no such file"),
        (["empty.csv"], "empty.csv: the file is empty"),
        (["pairs.csv", "--method", "elos"], "unknown method 'elos' (did you mean 'elo'?)"),
        (["pairs.csv", "--where", "prompt"], "--where 'prompt': expected COLUMN=VALUE"),
        (["pairs.csv", "--where", "prompt=x"], "no row with prompt=x"),
        (["pairs.csv", "--format", "csv"], "unknown format 'csv'"),
        (["pairs.csv", "--affinity", "0"], "--affinity 0.0: expected a positive variance"),
        (["pairs.csv", "--groups", "colour"], "no column 'colour'"),
        (["pairs.csv", "--method", "nash_averaging_tasks"], "needs a score of each model"),
        (["pairs.csv", "--resample", "halves"], "--resample halves needs --bootstrap N"),
        (["pairs.csv", "--bootstrap", "1"], "1 draws; at least 2 are needed"),
        (["pairs.csv", "--report", "out.txt"], "expected a name that ends in .html"),
        (["pairs.csv", "--report", "no/out.html"], "there is no folder no"),
        (["pairs.csv", "--categories", "topic"], "--categories topic needs --report FILE.html"),
        (["pairs.csv", "--texts", "topic"], "--texts topic needs --groups found"),
        (["pairs.csv", "--style", "length"], "--style length needs --method style_control"),
        (["pairs.csv", "--method", "style_control"], "needs battles that say how long"),
        (["x.ratings.csv", "--report", "x.html"], "this would overwrite x.ratings.csv"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(data, monkeypatch, capsys, arguments, message):
    (data / "empty.csv").write_text("")
    (data / "x.ratings.csv").write_text(PAIRS)
    monkeypatch.chdir(data)
    assert main(["rate", *arguments]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1
    assert printed.out == ""


def test_report_is_a_page_with_tables_and_pictures_beside_it(neupl, data):
    arguments = ("rate", "pairs.csv", "--report", "out.html", "--categories", "topic")
    done = neupl(*arguments, "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    endings = (".html", ".ratings.csv", ".prompts.csv", ".ratings.json", ".png", ".svg")
    assert content["files"] == [f"out{ending}" for ending in endings]
    written = {path.name for path in data.iterdir()}
    assert written == {"battles.csv", "pairs.csv", *content["files"]}
    beside = json.loads((data / "out.ratings.json").read_text())
    assert beside["ratings"] == content["ratings"]
    assert beside["attribution"]["prompts"] == [f"q{q}" for q in range(8)]
    # Without --method other methods stand beside the one that ranks.
    assert [other["method"] for other in content["others"]] == list(COMPANIONS)
    page = (data / "out.html").read_text()
    assert "Ratings: pairs.csv" in page and "By category" in page and "t3" in page


def test_strategies_of_a_solved_game_are_rated_with_the_same_page(data, monkeypatch, capsys):
    monkeypatch.chdir(data)
    solving = ["solve", "kuhn_poker", "--method", "psro", "--out", "run", "--quiet", "--json"]
    assert main(solving) == 0
    capsys.readouterr()
    assert main(["rate", "run", "--report", "out.html", "--json", "--quiet"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["method"] == "cce" and content["certificate"]["value"] <= 1e-8
    assert "psro" in content["notes"][0] and "exact" in content["notes"][1]
    assert [other["method"] for other in content["others"]] == list(TENSOR_COMPANIONS)
    page = (data / "out.html").read_text()
    assert "<strong>Payoffs.</strong>" in page and "seat 0 #0" in page
    for arguments, message in (
        (["run", "--seat", "2"], "has seats 0 to 1, not 2"),
        (["run", "--groups", "topic"], "--groups is for files; run is a folder"),
        (["."], "there is no population at ."),
        (["pairs.csv", "--seat", "1"], "seats are of payoff tensors"),
    ):
        assert main(["rate", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_help_names_every_method_and_format():
    text = (Path(__file__).parents[2] / "neupl" / "cli" / "rate.py").read_text()
    assert [name for name in (*METHODS, *FORMATS) if f"`{name}`" not in text] == []
