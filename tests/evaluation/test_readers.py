"""Readers: every format, and one clear error for everything that can be wrong with a file."""

import gzip
import json

import numpy as np
import pytest

from evaluation.readers import FORMATS, read_evaluation, read_groups, table
from evaluation.readers.lines import distinct_lines
from evaluation.types import Battles, DataError, Scores
from games.normal_form import NormalForm

LMARENA = "model_a,model_b,winner\na,b,model_a\nb,a,tie\na,c,tie (bothbad)\nb,c,model_b\n"


def write(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def outcomes(battles: Battles) -> list[tuple[str, str, str, float]]:
    """Battles by name."""
    return [
        (battles.prompts[q], battles.models[i], battles.models[j], float(x))
        for q, i, j, x in zip(
            battles.prompt, battles.first, battles.second, battles.outcome, strict=True
        )
    ]


EXPECTED = [("all", "a", "b", 1.0), ("all", "b", "a", 0.5), ("all", "a", "c", 0.5)]
EXPECTED.append(("all", "b", "c", 0.0))


@pytest.mark.parametrize(
    "content",
    [
        LMARENA,
        LMARENA.replace("\n", "\r\n"),
        LMARENA.replace(",", "\t"),
        "\ufeff" + LMARENA,
        LMARENA.rstrip("\n"),
        LMARENA.replace("b,a,tie", '"b",a,"tie"\n'),
        LMARENA.replace("model_a,model_b,winner", "left,right,winner")
        .replace(",model_a\n", ",left\n")
        .replace(",model_b\n", ",right\n"),
        gzip.compress(LMARENA.encode()),
    ],
    ids=["plain", "crlf", "tab", "bom", "no newline", "quotes", "evalica", "gzip"],
)
@pytest.mark.parametrize("large", [False, True])
def test_battles_in_words(tmp_path, content, large, monkeypatch):
    monkeypatch.setattr(table, "LARGE", 0 if large else 10**9)
    assert outcomes(read_evaluation(write(tmp_path, "battles.csv", content))) == EXPECTED


def as_records() -> list[dict]:
    header, *rows = [line.split(",") for line in LMARENA.splitlines()]
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_battles_in_json_and_json_lines(tmp_path):
    records = [{**record, "conversation": [{"role": "user"}]} for record in as_records()]
    lines = "\n".join(map(json.dumps, records)) + "\n\n"
    assert outcomes(read_evaluation(write(tmp_path, "b.jsonl", lines))) == EXPECTED
    assert outcomes(read_evaluation(write(tmp_path, "b.json", json.dumps(records)))) == EXPECTED


def test_battles_in_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "b.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(as_records()), path)
    assert outcomes(read_evaluation(path)) == EXPECTED


def test_outcomes_as_numbers_with_prompts_and_conditions(tmp_path):
    text = (
        "run,prompt,model_a,model_b,outcome,graded\n"
        "1,p,a,b,1,0.75\n2,p,a,b,0,0.5\n1,q,b,a,0.5,NaN\n1,q,a,b,0,0.25\n"
    )
    path = write(tmp_path, "pairs.csv", text)
    battles = read_evaluation(path, where={"run": "1"})
    assert outcomes(battles)[:2] == [("p", "a", "b", 1.0), ("q", "b", "a", 0.5)]
    graded = read_evaluation(path, where={"run": "1"}, outcome="graded")
    assert outcomes(graded) == [("p", "a", "b", 0.75), ("q", "a", "b", 0.25)]
    assert graded.notes == ("1 rows without an outcome are left out",)


def test_scores_a_row_each(tmp_path):
    text = "task,agent,score,stddev\nx,b,2,0.5\nx,a,1,\ny,a,3,\n"
    scores = read_evaluation(write(tmp_path, "s.csv", text))
    assert (scores.models, scores.prompts) == (("a", "b"), ("x", "y"))
    assert np.array_equal(scores.scores, [[1, 2], [3, np.nan]], equal_nan=True)
    assert scores.errors.tolist() == [[0, 0.5], [0, 0]]


@pytest.mark.parametrize("corner", ["model", "task"])
def test_wide_tables_in_either_direction(tmp_path, corner):
    text = f"{corner},x,y\nr,1,2+-0.5\ns,3 ± 0.1,\n"
    scores = read_evaluation(write(tmp_path, "w.csv", text))
    assert isinstance(scores, Scores)
    values, errors = np.array([[1, 2], [3, np.nan]]), np.array([[0, 0.5], [0.1, 0]])
    turned = corner == "model"
    assert scores.models == (("r", "s") if turned else ("x", "y"))
    assert np.array_equal(scores.scores, values.T if turned else values, equal_nan=True)
    assert np.array_equal(scores.errors, errors.T if turned else errors)


def test_arena_hard_judgments(tmp_path):
    """In the first game the baseline is A. `A>>B` loses it for the model, `B>A` loses three
    quarters of the second.
    """
    games = [{"score": "A>>B"}, {"score": "B>A"}]
    rows = [
        {"question_id": "p", "model": "m", "judge": "j", "games": games},
        {
            "question_id": "q",
            "model": "m",
            "judge": "j",
            "games": [{"score": "B>>A"}, {"score": None}],
        },
        {"question_id": "r", "model": "m", "judge": "j", "games": [{"score": ""}]},
    ]
    path = write(tmp_path, "m.jsonl", "\n".join(map(json.dumps, rows)))
    battles = read_evaluation(path, baseline="base")
    assert outcomes(battles) == [("p", "m", "base", 0.125), ("q", "m", "base", 1.0)]


def test_alpaca_eval_annotations(tmp_path):
    rows = [
        {"instruction": "p", "generator_1": "ref", "generator_2": "m", "preference": 1.9},
        {"instruction": "q", "generator_1": "ref", "generator_2": "m", "preference": 0},
        {"instruction": "r", "generator_1": "ref", "generator_2": "m", "preference": None},
    ]
    battles = read_evaluation(write(tmp_path, "a.json", json.dumps(rows)))
    assert outcomes(battles) == [
        ("p", "m", "ref", pytest.approx(0.9)),
        ("q", "m", "ref", 0.5),
    ]


def test_payoffs(tmp_path):
    np.save(tmp_path / "g.npy", np.zeros((2, 2, 2)))
    assert isinstance(read_evaluation(tmp_path / "g.npy"), NormalForm)
    nested = write(tmp_path, "g.json", json.dumps(np.zeros((2, 2, 2)).tolist()))
    assert isinstance(read_evaluation(nested), NormalForm)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("model_a,model_b,winner\n", "no row"),
        ("model_a,model_b,winner\na,b,c\n", r"line 2: winner 'c'; allowed are model_a"),
        ("model_a,model_b,winner\na,b,tie\n\na,a,tie\n", r"line 4: 'a' against itself"),
        ("model_a,model_b,winner\na,b,tie\n,b,tie\n", r"line 3: model_a is empty"),
        ("model_a,model_b,winner\na,b\n", r"line 2 has 2 fields, the header 3"),
        ("model_a,model_b,outcome\na,b,1.5\n", r"line 2: outcome 1.5; allowed are numbers from 0"),
        ("model_a,model_b,outcome\na,b,high\n", r"line 2: outcome 'high'"),
        ("model_a,model_b,outcome\na,b,inf\n", r"line 2: outcome 'inf'"),
        ("model_a,model_a,winner\na,b,tie\n", "a column name is there twice"),
        ("who,what\na,b\n", "the format is not one that is known"),
        ("model,prompt,score\na,p,1\n", "1 model"),
        ("model,prompt,score\na,p,1\na,p,2\nb,p,1\n", r"line 3: a second score of 'a' on 'p'"),
        ("model,x,y\na,1,2\na,2,3\n", r"line 3: 'a' is there twice"),
        ("model,x,y\na,1,2\nb,2,??\n", r"line 3: y is '\?\?'"),
        ('{"model_a": 1}\n{"model_a": \n', "line 2 is not JSON"),
        ("[1, 2]", "entry 1 is not a JSON object"),
        ("model_a,model_b,winner\nd\xe9j\xe0,b,tie\n".encode("latin-1"), r"line 2 is not UTF-8"),
        (LMARENA.encode("utf-16"), "UTF-16"),
        (b"\x1f\x8bnot gzip at all", "cannot be read"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, content, message):
    path = write(tmp_path, "data.csv", content)
    with pytest.raises(DataError, match=message) as caught:
        read_evaluation(path)
    assert str(path) in str(caught.value)


def test_unknown_names_are_met_with_the_known_ones(tmp_path):
    path = write(tmp_path, "b.csv", LMARENA)
    with pytest.raises(DataError, match="did you mean 'battles'"):
        read_evaluation(path, data_format="battle")
    with pytest.raises(DataError, match="no row with model_a=x; model_a is a, b"):
        read_evaluation(path, where={"model_a": "x"})
    with pytest.raises(DataError, match="no column 'judge'"):
        read_evaluation(path, where={"judge": "x"})
    with pytest.raises(DataError, match="no such file"):
        read_evaluation(tmp_path / "absent.csv")
    assert "battles" in FORMATS


def test_groups_of_prompts(tmp_path):
    path = write(tmp_path, "g.csv", "prompt,topic\np,x\nq,y\np,x\n")
    assert read_groups(path, "topic") == {"p": "x", "q": "y"}
    clash = write(tmp_path, "h.csv", "prompt,topic\np,x\nq,y\np,y\n")
    with pytest.raises(DataError, match=r"line 4: prompt 'p' is in the groups 'x' and 'y'"):
        read_groups(clash, "topic")


@pytest.mark.parametrize("longest", [3, 20, 400])
def test_different_lines_are_those_of_a_dictionary(longest):
    """Also blank ones, ones that begin alike, and other scripts; long ones are left to others."""
    rng = np.random.default_rng(longest)
    lines = ["".join(rng.choice(list("ab,é"), size=rng.integers(longest))) for _ in range(500)]
    found = distinct_lines("\n".join(lines))
    if longest > 256:
        assert found is None
        return
    assert list(found.distinct) == list(dict.fromkeys(lines))
    assert [found.distinct[code] for code in found.code] == lines


def test_lines_longer_than_fingerprints_are_read_too(tmp_path):
    name = "x" * 500
    rows = (name, "b", "model_a"), ("b", name, "tie")
    records = [dict(zip(("model_a", "model_b", "winner"), row, strict=True)) for row in rows]
    text = "\n\n".join(map(json.dumps, records))
    battles = read_evaluation(write(tmp_path, "long.jsonl", text))
    assert outcomes(battles) == [("all", name, "b", 1.0), ("all", "b", name, 0.5)]


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_the_compiled_loop_reads_what_the_csv_module_reads(tmp_path, delimiter, monkeypatch):
    """Entries of any script, also long, empty and with blanks around them; blank lines between."""
    rng = np.random.default_rng(3)
    words = ["", "a", "b ", " b", "é", "名", "x" * 300, *(f"w{k}" for k in range(2000))]
    lines = [delimiter.join(rng.choice(words, size=3)) for _ in range(4000)]
    for place in (0, 100, 2000):
        lines.insert(place, "")
    # A line of empty entries is a row.
    lines[50] = delimiter * 2
    path = write(tmp_path, "t.csv", "\n".join(["é,b,c".replace(",", delimiter), *lines, ""]))
    found = []
    for large in (10**9, 0):
        monkeypatch.setattr(table, "LARGE", large)
        found.append(table.read_table(path, path.read_bytes()))
    plain, compiled = found
    assert compiled.names == plain.names == ("é", "b", "c") and len(plain) == 4000
    for name in plain.names:
        assert compiled.column(name).values == plain.column(name).values
        np.testing.assert_array_equal(compiled.column(name).codes, plain.column(name).codes)
    assert [compiled.where(k) for k in (0, 99, 3999)] == [plain.where(k) for k in (0, 99, 3999)]


@pytest.mark.parametrize("large", [0, 10**9])
def test_rows_of_other_widths_and_names_that_come_twice_are_named(tmp_path, large, monkeypatch):
    monkeypatch.setattr(table, "LARGE", large)
    for content, words in (
        ("a,b\n1,2\n\n1,2,3\n1\n", "line 4 has 3 fields, the header 2"),
        ("a,b\n1,2\n1\n", "line 3 has 1 fields, the header 2"),
        ("a, a\n1,2\n", "a column name is there twice"),
        ("a,b\n", "there is a header but no row"),
    ):
        path = write(tmp_path, "wrong.csv", content)
        with pytest.raises(DataError, match=words):
            table.read_table(path, path.read_bytes())
