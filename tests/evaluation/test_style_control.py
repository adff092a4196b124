"""Style control: recovered effects, a slow likelihood, invariances, and columns of style."""

import json

import numpy as np
import pytest
import scipy.optimize

from evaluation.ratings import RatingOptions, rate
from evaluation.readers import read_evaluation
from evaluation.style_control import fit_style_control
from evaluation.types import DataError
from evaluation.uncertainty import resample


def played(num_battles=4000, seed=0):
    """Battles of four models in which longer answers win more often."""
    rng = np.random.default_rng(seed)
    skill = np.array([0.6, 0.2, -0.1, -0.7])
    first = rng.integers(4, size=num_battles)
    second = (first + rng.integers(1, 4, size=num_battles)) % 4
    # The weakest model writes most.
    mean = np.array([5.0, 5.2, 5.4, 6.5])
    lengths = np.exp(rng.normal(mean[np.stack([first, second])], 0.5)).round()
    x = (lengths[0] - lengths[1]) / (lengths[0] + lengths[1] + 1)
    odds = skill[first] - skill[second] + 1.5 * x
    won = (rng.random(num_battles) < 1 / (1 + np.exp(-odds))).astype(float)
    return first.astype(np.int32), second.astype(np.int32), won, lengths, x, skill


def test_fit_maximises_the_likelihood_of_the_definition():
    """SciPy minimises minus the likelihood, written as a loop over battles."""
    first, second, won, _, x, _ = played(60)

    def loss(point):
        total = 1e-9 * np.sum(point[:4]) ** 2
        for i, j, y, z in zip(first, second, won, x, strict=True):
            p = 1 / (1 + np.exp(-(point[i] - point[j] + point[4] * z)))
            total -= y * np.log(p) + (1 - y) * np.log(1 - p)
        return total

    found = scipy.optimize.minimize(loss, np.zeros(5), tol=1e-12).x
    fit = fit_style_control(first, second, won, x[:, None], num_models=4)
    assert fit.strengths == pytest.approx(found[:4] - found[:4].mean(), abs=1e-5)
    assert fit.effects[0] / np.sqrt(np.mean(x**2)) == pytest.approx(found[4], abs=1e-5)


def test_effect_and_strengths_are_recovered_within_their_errors():
    """Within five standard errors: a correct fit fails with probability below 4e-6."""
    first, second, won, _, x, skill = played()
    fit = fit_style_control(first, second, won, x[:, None], num_models=4)
    errors = np.sqrt(np.diagonal(fit.covariance))
    truth = np.append(skill - skill.mean(), 1.5 * np.sqrt(np.mean(x**2)))
    assert np.all(np.abs(np.append(fit.strengths, fit.effects) - truth) < 5 * errors)
    assert np.all(errors < 0.1)


def test_exchanging_the_answers_of_a_battle_changes_nothing():
    first, second, won, _, x, _ = played(400)
    swap = np.random.default_rng(1).random(400) < 0.5
    fits = [
        fit_style_control(first, second, won, x[:, None], num_models=4),
        fit_style_control(
            np.where(swap, second, first),
            np.where(swap, first, second),
            np.where(swap, 1 - won, won),
            np.where(swap, -x, x)[:, None],
            num_models=4,
        ),
    ]
    assert fits[0].strengths == pytest.approx(fits[1].strengths, abs=1e-9)
    assert fits[0].covariance == pytest.approx(fits[1].covariance, abs=1e-9)


def test_a_style_that_models_determine_is_refused():
    first, second, won, *_ = played(400)
    own = np.array([1.0, 2.0, 3.0, 4.0])
    with pytest.raises(DataError, match="do not tell the effect of style"):
        fit_style_control(first, second, won, (own[first] - own[second])[:, None], num_models=4)
    with pytest.raises(DataError, match="is the same in both answers"):
        fit_style_control(first, second, won, np.zeros((400, 1)), num_models=4)


def rows_of(num_battles=300):
    first, second, won, lengths, *_ = played(num_battles)
    for row in range(num_battles):
        yield {
            "model_a": f"m{first[row]}",
            "model_b": f"m{second[row]}",
            "winner": "model_a" if won[row] else "model_b",
            "length_a": int(lengths[0, row]),
            "length_b": int(lengths[1, row]),
        }


def write_csv(path, rows):
    rows = list(rows)
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_lengths_in_columns_metadata_or_the_answers_give_the_same_ratings(tmp_path):
    rows = list(rows_of())
    columns = read_evaluation(write_csv(tmp_path / "columns.csv", rows), style=True)
    assert columns.styles == ("length",)
    metadata, answers = [], []
    for row in rows:
        own = {key: row[key] for key in ("model_a", "model_b", "winner")}
        counts = {f"sum_assistant_{s}_tokens": row[f"length_{s}"] for s in "ab"}
        counts |= {f"list_count_{s}": {"ordered": 1, "unordered": row[f"length_{s}"] % 3}
                   for s in "ab"}  # fmt: skip
        metadata.append(own | {"conv_metadata": counts})
        answers.append(own | {f"response_{s}": "x" * row[f"length_{s}"] for s in "ab"})
    for name, content in (("metadata", metadata), ("answers", answers)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    ratings = rate(columns, "style_control").ratings
    for name, style in (("metadata", "tokens"), ("answers", "length")):
        battles = read_evaluation(tmp_path / f"{name}.json", style=True)
        result = rate(battles, "style_control", RatingOptions(styles=(style,)))
        assert result.ratings == pytest.approx(ratings, abs=1e-9)
    both = read_evaluation(tmp_path / "metadata.json", style=True)
    assert both.styles == ("tokens", "lists")
    assert "lists" in rate(both, "style_control").status


def test_outputs_of_alpaca_eval_are_compared_from_the_side_of_the_outcome(tmp_path):
    rows = [
        {
            "instruction": f"q{k}",
            "generator_1": "base",
            "generator_2": name,
            "preference": 1 + k % 2,
            "output_1": "xx",
            "output_2": "x" * (5 + k),
        }
        for k in range(6)
        for name in ("m", "n")
    ]
    (tmp_path / "annotations.json").write_text(json.dumps(rows))
    battles = read_evaluation(tmp_path / "annotations.json", style=True)
    assert battles.models[battles.first[0]] == "m"
    assert battles.outcome[0] == 0.0
    assert battles.style_differences[0, 0] == pytest.approx((5 - 2) / (5 + 2 + 1))


def test_battles_without_a_length_are_left_out_and_told(tmp_path):
    rows = list(rows_of())
    rows[3]["length_a"] = ""
    battles = read_evaluation(write_csv(tmp_path / "battles.csv", rows), style=True)
    result = rate(battles, "style_control")
    assert result.notes == ("1 battles without length are left out",)
    drawn = resample(battles, result, num_draws=20)
    assert drawn.draws is not None and np.all(drawn.low < drawn.high)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [("length_a", "-3", "line 5: length_a -3; allowed are numbers from 0"),
     ("length_b", "long", "line 5: length_b 'long'; allowed are numbers from 0")],
)  # fmt: skip
def test_wrong_lengths_are_one_clear_error(tmp_path, column, value, message):
    rows = list(rows_of())
    rows[3][column] = value
    with pytest.raises(DataError, match=message):
        read_evaluation(write_csv(tmp_path / "battles.csv", rows), style=True)


def test_without_styles_there_is_nothing_to_control(tmp_path):
    rows = [{k: v for k, v in row.items() if "length" not in k} for row in rows_of()]
    battles = read_evaluation(write_csv(tmp_path / "battles.csv", rows), style=True)
    with pytest.raises(DataError, match="columns such as length_a and length_b"):
        rate(battles, "style_control")
    known = read_evaluation(write_csv(tmp_path / "known.csv", rows_of()), style=True)
    with pytest.raises(DataError, match="no style 'bold'; known: length"):
        rate(known, "style_control", RatingOptions(styles=("bold",)))
