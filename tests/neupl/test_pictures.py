"""Pictures: they decode, they show the numbers given, and they are written whole or not at all."""

import io
import math
import sys

import matplotlib.image
import numpy as np
import pytest

from neupl.certificate_words import certificate_text
from neupl.matrix_pictures import graph_image, payoff_image
from neupl.summary_picture import save_summary
from solvers.types import Certificate

COUNTS = ("population/num_admitted", "population/num_responses", "population/effective_size")


def certificate(value: float = 0.01, **changes: object) -> Certificate:
    fields = {
        "quantity": "nash_conv",
        "value": value,
        "per_player": (value / 2, value / 2),
        "object": "meta-strategy mixture of $a_run$",
        "method": "exact",
        "interval": None,
        "openspiel_value": value,
        "game": "kuhn_poker",
        "seconds": 0.1,
    }
    return Certificate(**(fields | changes))


def finished_run(num_players: int, num_strategies: int, *, value: float = 0.01) -> dict:
    """Arguments of `save_summary`: payoffs and mixtures drawn at random, NashConv falling."""
    rng = np.random.default_rng(7)
    num_profiles = num_strategies ** (num_players - 1)
    metrics = [
        {"step": 20 * i, "eval/nash_conv": value + 2.0 * 0.8**i, "eval/best_nash_conv": value}
        | dict.fromkeys(COUNTS, min(1 + i // 10, num_strategies))
        for i in range(50)
    ]
    return {
        "game": "kuhn_poker",
        "metrics": metrics,
        "payoffs": rng.normal(size=(num_strategies,) * num_players + (num_players,)),
        "joint": rng.dirichlet(np.full(num_profiles, 0.1), size=(num_players, num_strategies)),
        "meta_strategy": rng.dirichlet(np.ones(num_strategies), size=num_players),
        "num_admitted": num_strategies,
        "certificate": certificate(value),
        "payoff_range": 4.0,
    }


def decode(png: bytes) -> np.ndarray:
    """`[height, width, 4]` colours from 0 to 1."""
    return matplotlib.image.imread(io.BytesIO(png), format="png")


def cell(image: np.ndarray, row: int, column: int, *, size: int) -> np.ndarray:
    """Colour near the corner of a cell of the matrix, off its number; the frame is light grey."""
    frame = np.abs(image[..., :3] - 0xBB / 255).max(axis=-1) < 0.1
    top, bottom = np.flatnonzero(frame.sum(axis=1) > 300)[[0, -1]]
    left, right = np.flatnonzero(frame.sum(axis=0) > 300)[[0, -1]]
    y = top + (row + 0.1) * (bottom - top) / size
    x = left + (column + 0.1) * (right - left) / size
    return image[round(y), round(x), :3]


def redness(colour: np.ndarray) -> float:
    return float(colour[0] - colour[2])


@pytest.mark.parametrize("num_players", [2, 3])
@pytest.mark.parametrize("num_strategies", [2, 32])
def test_summary_is_a_png_of_the_size_of_a_slide(tmp_path, num_players, num_strategies):
    path = tmp_path / "summary.png"
    save_summary(path, **finished_run(num_players, num_strategies))
    image = decode(path.read_bytes())
    assert image.shape == (1000, 1600, 4)
    assert image.std() > 0.05
    assert list(tmp_path.iterdir()) == [path]


def broken_lines() -> list[dict]:
    return [
        {"step": 0, "eval/nash_conv": math.inf, "eval/best_nash_conv": None},
        {"eval/nash_conv": 1.0},
        {"step": 20, "train/loss": 1.0},
        {"step": 40, "eval/nash_conv": math.nan, "population/num_admitted": 2},
        {"step": 60, "eval/nash_conv": 0.5, "eval/best_nash_conv": 0.5},
    ]


@pytest.mark.parametrize(
    "metrics",
    [
        [],
        [{"step": 0}],
        [{"step": 0, "eval/nash_conv": 0.0, "eval/best_nash_conv": 0.0}],
        [{"step": 20, "eval/nash_conv": 3.0, "eval/best_nash_conv": 3.0}],
        [{"step": i, "eval/nash_conv": 1e-3 * (3 - i)} for i in range(4)],
        [{"step": i, "eval/nash_conv": 10.0 ** (3 - 4 * i)} for i in range(5)],
        broken_lines(),
    ],
)
@pytest.mark.parametrize("value", [0.0, -1e-17, 0.25])
def test_summary_of_zeros_and_gaps_has_a_curve_panel(tmp_path, metrics, value):
    path = tmp_path / "summary.png"
    run = finished_run(2, 3) | {"metrics": metrics, "certificate": certificate(value)}
    save_summary(path, **run)
    curve = decode(path.read_bytes())[210:525, 104:936, :3]
    dark = curve.max(axis=-1) < 0.2
    assert dark.sum(axis=1).max() > 300, "the dashed line of the certificate"


def test_curve_of_a_run_that_reaches_zero_ends_at_the_bottom(tmp_path):
    """The best so far is drawn in one blue; in the last tenth it must lie in the zone of zero."""
    path = tmp_path / "summary.png"
    lines = [
        {"step": i, "eval/best_nash_conv": 10.0 ** -(i / 20) if i < 40 else 0.0} for i in range(61)
    ]
    run = finished_run(2, 3) | {"metrics": lines, "certificate": certificate(0.5)}
    save_summary(path, **run)
    curve = decode(path.read_bytes())[210:525, 104:936, :3]
    blue = np.abs(curve - np.array([0x00, 0x72, 0xB2]) / 255).max(axis=-1) < 0.02
    early, late = (
        np.flatnonzero(blue[:, columns].any(axis=1)) for columns in (slice(20, 60), slice(780, 820))
    )
    assert early.max() < 60
    assert late.min() > 280


def test_summary_does_not_depend_on_settings_or_on_a_display(tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    had_pyplot = "matplotlib.pyplot" in sys.modules
    first, second = tmp_path / "first.png", tmp_path / "second.png"
    save_summary(first, **finished_run(2, 3))
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        save_summary(second, **finished_run(2, 3))
    assert first.read_bytes() == second.read_bytes()
    assert ("matplotlib.pyplot" in sys.modules) == had_pyplot


def test_only_admitted_strategies_are_in_the_summary(tmp_path):
    """What an absent strategy earns changes nothing."""
    first, second = tmp_path / "first.png", tmp_path / "second.png"
    run = finished_run(2, 4) | {"num_admitted": 3}
    run["joint"][:, :, 3] = 0.0
    save_summary(first, **run)
    payoffs = run["payoffs"].copy()
    payoffs[3], payoffs[:, 3] = 50.0, 50.0
    save_summary(second, **run | {"payoffs": payoffs})
    assert first.read_bytes() == second.read_bytes()


def test_names_may_hold_any_character(tmp_path):
    run = finished_run(2, 2) | {"game": "$game_{x ^ 漢字" + 200 * "y"}
    save_summary(tmp_path / "summary.png", **run)


def test_payoff_image_shows_losses_red_and_wins_blue_by_the_seats_own_rows():
    """Seat 0 wins only by strategy 0 against 1; in a zero-sum game seat 1 loses there: row 1."""
    payoffs = np.zeros((2, 2, 2))
    payoffs[0, 1] = 1.0, -1.0
    own, other = (decode(payoff_image(payoffs, player=p, num_admitted=2)) for p in (0, 1))
    assert own.shape == (560, 640, 4)
    assert redness(cell(own, 0, 1, size=2)) < -0.2
    assert redness(cell(other, 1, 0, size=2)) > 0.2
    for image, row, column in ((own, 1, 0), (own, 0, 0), (other, 0, 1)):
        assert abs(redness(cell(image, row, column, size=2))) < 0.05


def test_payoff_image_of_three_players_is_the_mean_over_the_admitted_of_the_third():
    """Seat 2's strategies 0 and 1 cancel; the third would not, but is not admitted."""
    payoffs = np.zeros((3, 3, 3, 3))
    payoffs[0, 1, :, 0] = 1.0, -1.0, 9.0
    payoffs[1, 0, :, 0] = 1.0, 1.0, -9.0
    image = decode(payoff_image(payoffs, num_admitted=2))
    assert abs(redness(cell(image, 0, 1, size=3))) < 0.05
    assert redness(cell(image, 1, 0, size=3)) < -0.2
    absent = cell(image, 2, 0, size=3)
    assert np.allclose(absent, 0xDD / 255, atol=0.01)


def test_graph_image_has_a_panel_for_each_coplayer():
    """Strategy 1 of seat 1 meets the profile (seat 0: 1, seat 2: 0), index 1 * 2 + 0."""
    joint = np.zeros((3, 2, 4))
    joint[1, 1, 2] = 1.0
    image = decode(graph_image(joint, player=1, num_admitted=2))
    assert image.shape == (560, 1120, 4)
    dark = (image[..., 2] > 0.4) & (image[..., 2] < 0.55) & (image[..., 1] < 0.05)
    height, width = dark.shape
    # The colour bar's own dark end lies to the right of both panels.
    left, right = dark[:, : width // 2], dark[:, width // 2 : 1025]
    for panel, middle in ((left, 285), (right, 816 - width // 2)):
        rows, columns = np.nonzero(panel)
        assert len(rows) > 30_000
        assert rows.min() > height // 2 - 10
        assert (columns.min() > middle - 5) == (panel is left)


def test_one_strategy_can_be_drawn():
    assert decode(payoff_image(np.zeros((1, 1, 2)), num_admitted=1)).shape == (560, 640, 4)
    assert decode(graph_image(np.zeros((2, 1, 1)), num_admitted=1)).shape == (560, 640, 4)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_payoffs_that_are_not_finite_are_refused(tmp_path, bad):
    run = finished_run(2, 3)
    run["payoffs"][1, 2, 0] = bad
    with pytest.raises(ValueError, match="payoffs contain NaN"):
        payoff_image(run["payoffs"], num_admitted=3)
    with pytest.raises(ValueError, match="payoffs contain NaN"):
        save_summary(tmp_path / "summary.png", **run)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"payoffs": np.zeros((3, 3, 3, 3))}, "payoffs have shape"),
        ({"joint": np.zeros((2, 3, 4))}, "expected"),
        ({"joint": np.full((2, 3, 3), math.nan)}, "joint contains"),
        ({"meta_strategy": np.full((2, 3), -1.0)}, "meta_strategy contains"),
        ({"num_admitted": 4}, "allowed are 1 to 3"),
        ({"num_admitted": 0}, "allowed are 1 to 3"),
        ({"payoff_range": math.nan}, "payoff_range is nan"),
    ],
)
def test_impossible_arguments_are_refused(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        save_summary(tmp_path / "summary.png", **finished_run(2, 3) | change)


def test_impossible_seat_is_refused():
    with pytest.raises(ValueError, match="player is 2, allowed are 0 to 1"):
        payoff_image(np.zeros((2, 2, 2)), player=2, num_admitted=2)
    with pytest.raises(ValueError, match="player is -1, allowed are 0 to 1"):
        graph_image(np.zeros((2, 2, 2)), player=-1, num_admitted=2)


def test_full_disk_leaves_the_old_picture_and_no_partial_file(small_disk):
    path = small_disk / "summary.png"
    path.write_bytes(b"old")
    (small_disk / "filler").write_bytes(bytes(240 * 1024))
    with pytest.raises(OSError, match="No space left"):
        save_summary(path, **finished_run(2, 8))
    assert path.read_bytes() == b"old"
    assert sorted(p.name for p in small_disk.iterdir()) == ["filler", "summary.png"]


def test_name_that_is_a_folder_leaves_no_partial_file(tmp_path):
    path = tmp_path / "summary.png"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        save_summary(path, **finished_run(2, 2))
    assert list(tmp_path.iterdir()) == [path]


def test_certificate_text_says_how_the_number_was_obtained():
    assert certificate_text(certificate(0.01), 4.0) == (
        "NashConv 0.01 points (0.0025 of the payoff range): exact, OpenSpiel agrees: 0.01"
    )
    unasked = certificate(0.01, openspiel_value=None)
    assert certificate_text(unasked, 0.0) == (
        "NashConv 0.01 points: exact, not checked with OpenSpiel"
    )
    apart = certificate(0.01, openspiel_value=0.0101)
    assert certificate_text(apart, 4.0).endswith("exact, OpenSpiel DISAGREES: 0.0101")
    sampled = certificate(
        1.5, quantity="cce_gap", method="sampled", interval=(1.0, 2.0), openspiel_value=None
    )
    assert certificate_text(sampled, 3.0) == (
        "CCE gap 1.5 points (0.5 of the payoff range): sampled, interval 1 to 2, "
        "not checked with OpenSpiel"
    )
