"""Tournaments: exact payoffs, paired seeds, schedules, and the same games however they are run."""

import dataclasses
import functools

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.players import Choice, TablePlayer, UniformPlayer
from evaluation.tournament.items import Item, ItemResult, Setup, play_item, result_of_json
from evaluation.tournament.schedule import (
    Sequential,
    Swiss,
    Uncertain,
    gauntlet,
    likelihood_lost,
    round_robin,
)
from evaluation.tournament.standings import antisymmetric, standings
from evaluation.tournament.tally import ExactMeetings, Tally, exact_meetings, meeting_of
from evaluation.tournament.types import Entrant, all_groups, arrangements, places_of
from games.registry import load_lanes, load_tree
from games.tree_lanes import TreeLanes
from solvers.values import expected_returns


def table_player(table: np.ndarray, seat: int, lanes: TreeLanes) -> TablePlayer:
    return TablePlayer(table)


def uniform_player(seat: int, lanes: TreeLanes) -> UniformPlayer:
    return UniformPlayer()


def random_table(game: str, seed: int) -> np.ndarray:
    tree = load_tree(game)
    weights = np.random.default_rng(seed).random(tree.legal_mask.shape) * tree.legal_mask
    return weights / weights.sum(axis=1, keepdims=True)


def setup_of(game: str, number: int, *, batch: int = 32) -> Setup:
    entrants = []
    for k in range(number):
        table = random_table(game, k)
        entrants.append(
            Entrant(f"e{k}", functools.partial(table_player, table), table, f"p{k % 2}")
        )
    return Setup(game, tuple(entrants), 3, batch, None, 0, 5_000_000)


@pytest.mark.parametrize("game", ["kuhn_poker", "kuhn_poker(players=3)"])
def test_exact_payoffs_are_those_of_each_seating_on_the_tree(game):
    setup, tree = setup_of(game, 3), load_tree(game)
    exact = exact_meetings(tree, setup.entrants)
    P = tree.num_players
    tally = Tally(3, P, exact)
    payoffs, errors, counts = tally.tensors()
    assert not errors.any() and not counts.any()
    for seating in np.ndindex(*(3,) * P):
        table = np.zeros_like(setup.entrants[0].table)
        for seat, k in enumerate(seating):
            own = tree.infoset_player == seat
            table[own] = setup.entrants[k].table[own]
        np.testing.assert_allclose(payoffs[seating], expected_returns(tree, table), atol=1e-12)


@pytest.mark.parametrize("game", ["kuhn_poker", "kuhn_poker(players=3)"])
def test_games_agree_with_exact_payoffs_and_wins(game):
    """Means lie within 6 standard errors: a false alarm below 1e-6 over all."""
    setup = setup_of(game, 2, batch=2000)
    exact = exact_meetings(load_tree(game), setup.entrants)
    for group in all_groups(2, load_tree(game).num_players):
        played = meeting_of(group, play_item(setup, Item(group, 0)).returns)
        for found, known in (
            (played.payoffs, exact.payoffs[group]),
            (played.wins, exact.wins[group]),
        ):
            error = found.std(axis=0) / np.sqrt(len(found))
            assert (np.abs(found.mean(axis=0) - known) <= 6 * error + 1e-9).all()


def test_pairing_removes_the_luck_of_cards_and_seats():
    """An entrant against its copy earns exactly nothing with each seed, and against another one
    the mean over both seatings varies less than single games do.
    """
    setup = setup_of("kuhn_poker", 2, batch=2000)
    twins = dataclasses.replace(
        setup, entrants=(setup.entrants[0], dataclasses.replace(setup.entrants[0], name="twin"))
    )
    assert not meeting_of((0, 1), play_item(twins, Item((0, 1), 0)).returns).payoffs.any()
    returns = play_item(setup, Item((0, 1), 0)).returns
    paired = meeting_of((0, 1), returns).payoffs[:, 0].std() / np.sqrt(2000)
    single = np.concatenate([returns[0, :, 0], returns[1, :, 1]]).std() / np.sqrt(4000)
    assert paired < 0.8 * single


@given(st.lists(st.integers(0, 3), min_size=2, max_size=4))
def test_seatings_are_all_different_and_places_are_those_of_the_group(members):
    group = tuple(sorted(members))
    seatings = arrangements(group)
    assert len(set(seatings)) == len(seatings)
    for seating in seatings:
        assert [group[q] for q in places_of(group, seating)] == list(seating)
        assert sorted(places_of(group, seating)) == list(range(len(group)))


def test_an_item_is_the_same_wherever_and_whenever_it_is_played():
    setup = setup_of("leduc_poker", 2)
    first = play_item(setup, Item((0, 1), 5))
    play_item(setup, Item((0, 0), 0))
    again = play_item(setup_of("leduc_poker", 2), Item((0, 1), 5))
    np.testing.assert_array_equal(first.returns, again.returns)
    other = play_item(setup, Item((0, 1), 6))
    assert (first.returns != other.returns).any()
    read = result_of_json(again.to_json())
    np.testing.assert_array_equal(read.returns, first.returns)
    assert read.item == first.item


def result(item: Item, returns: np.ndarray) -> ItemResult:
    return ItemResult(item, returns, 0, (), (), 0.0)


def outcome(item: Item, strength: list[float], batch: int = 8) -> ItemResult:
    """A block whose entrants earn by strength, with noise of the item's own."""
    noise = np.random.default_rng([*item.group, item.block]).normal(size=(2, batch))
    rows = []
    for number, (a, b) in enumerate(arrangements(item.group)):
        margin = strength[a] - strength[b] + noise[number]
        rows.append(np.stack([margin, -margin], axis=1))
    return result(item, np.stack(rows))


def played_out(
    schedule, num_entrants: int, strength: list[float]
) -> tuple[Tally, list[list[Item]]]:
    tally, waves = Tally(num_entrants, 2), []
    while wave := list(schedule.wave(tally)):
        waves.append(wave)
        for item in wave:
            tally.add(outcome(item, strength))
    return tally, waves


def test_round_robin_and_gauntlet_meet_whom_they_should():
    assert len(round_robin(4, 2, 3).groups) == 10
    assert gauntlet(4, 2, 1).groups == ((0, 1), (0, 2), (0, 3))
    assert (0, 1, 2) in gauntlet(3, 3, 1).groups and (1, 1, 2) not in gauntlet(3, 3, 1).groups
    tally, waves = played_out(round_robin(3, 2, 2), 3, [0, 1, 2])
    assert tally.num_items == 12 and len(waves) == 1


def test_swiss_pairs_equals_without_repetition():
    strength = [5.0, 4, 3, 2, 1, 0, -1]
    _, waves = played_out(Swiss(7, 2, 4), 7, [10 * s for s in strength])
    pairs = [{item.group for item in wave} for wave in waves]
    assert [len(found) for found in pairs] == [3] * 4
    assert len(set.union(*pairs)) == 12
    # The two best meet, since both win until they do.
    assert (0, 1) in set.union(*pairs)


def test_budget_goes_to_the_payoffs_that_are_known_least():
    groups = tuple(all_groups(2, 2))
    schedule = Uncertain(groups, 1, 40)
    tally = Tally(2, 2)
    while wave := list(schedule.wave(tally)):
        for item in wave:
            played = outcome(item, [0, 0])
            scale = 10.0 if item.group == (0, 1) else 1.0
            tally.add(result(item, played.returns * scale))
    blocks = {group: tally.returns(group).shape[1] // 8 for group in groups}
    assert tally.num_items == 40
    assert blocks[0, 1] > 4 * max(blocks[0, 0], blocks[1, 1])


@pytest.mark.parametrize(("edge", "accepted"), [(0.0, "H0"), (1.0, "H1")])
def test_sequential_test_decides_and_stops(edge, accepted):
    schedule = Sequential(0.0, 100.0, blocks=500)
    tally, waves = played_out(schedule, 2, [edge, 0.0])
    test = schedule.test(tally)
    assert test.accepted == accepted
    assert len(waves) < 125 and tally.num_items == 4 * len(waves)


def test_likelihood_ratio_by_hand():
    """Scores 1, 0.5, 1, 0.5 against 0 and 400 Elo: expectations 1/2 and 10/11.

    Of mean 1/2 the likeliest distribution has 1 with 1/4, 0.5 with 1/2, and the rest at 0, which
    was not scored: a likelihood of 1/64. Of mean 10/11 it has 1 with 9/11 and 0.5 with 2/11:
    (18/121) squared.
    """
    tally = Tally(2, 2)
    # Seatings (0, 1) and (1, 0): seed by seed 0 wins both, or one of the two.
    first = np.array([[1.0, -1], [1, -1], [1, -1], [1, -1]])
    second = np.array([[-1.0, 1], [1, -1], [-1, 1], [1, -1]])
    tally.add(result(Item((0, 1), 0), np.stack([first, second])))
    ratio = 2 * np.log((18 / 121) / (1 / 8))
    assert Sequential(0, 400).test(tally).ratio == pytest.approx(ratio)


@pytest.mark.parametrize(("score", "accepted"), [(1.0, "H1"), (0.5, "H0"), (0.0, "H0")])
def test_games_that_all_end_alike_are_decided(score, accepted):
    """All wins: likelihoods are the means themselves; ties: twice what is left to the other end."""
    low, high = 1 / 2, 10 / 11
    per_pair = {1.0: np.log(high / low), 0.5: np.log(2 * (1 - high)), 0.0: np.log((1 - high) * 2)}
    needed = int(np.ceil(np.log(19) / abs(per_pair[score])))
    schedule = Sequential(0, 400)
    for number in (needed - 1, needed):
        tally = Tally(2, 2)
        first = np.full(number, 1.0 if score == 1 else -1.0)
        second = np.full(number, 1.0 if score > 0 else -1.0)
        games = [np.stack([first, -first], axis=1), np.stack([-second, second], axis=1)]
        tally.add(result(Item((0, 1), 0), np.stack(games)))
        test = schedule.test(tally)
        assert test.ratio == pytest.approx(number * per_pair[score])
        assert test.accepted == (accepted if number == needed else None)


@given(
    st.lists(st.sampled_from([0, 0.25, 0.5, 0.75, 1]), min_size=1, max_size=30),
    st.floats(0.05, 0.95),
)
@settings(max_examples=30, deadline=None)
def test_likeliest_distribution_is_found(scores, mean):
    """Against a solver that maximises the likelihood over all distributions on the five scores."""
    values = np.array([0, 0.25, 0.5, 0.75, 1])
    counts = np.array([scores.count(value) for value in values])

    def lost(shares):
        return -(counts @ np.log(shares + 1e-300))

    constraints = [
        {"type": "eq", "fun": lambda shares: shares.sum() - 1},
        {"type": "eq", "fun": lambda shares: shares @ values - mean},
    ]
    start = np.array([1 - mean, 0, 0, 0, mean]) * 0.9 + 0.1 * np.interp(
        values, [0, 1], [0.2 + 0.4 * (0.5 - mean), 0.2 - 0.4 * (0.5 - mean)]
    )
    found = scipy.optimize.minimize(
        lost, start, bounds=[(1e-12, 1)] * 5, constraints=constraints, method="SLSQP", tol=1e-12
    )
    frequencies = counts[counts > 0] / len(scores)
    best = counts[counts > 0] @ np.log(frequencies)
    assert likelihood_lost(np.array(scores, float), mean) == pytest.approx(
        best + found.fun, abs=1e-4
    )


def test_standings_of_rock_paper_scissors():
    """All Nash ratings are 0 and all Bradley-Terry ratings 1000; everything is a cycle."""
    value = {(0, 0): 0.0, (0, 1): -1.0, (0, 2): 1.0, (1, 1): 0.0, (1, 2): -1.0, (2, 2): 0.0}
    exact = ExactMeetings(
        payoffs={group: np.array([v, -v]) for group, v in value.items()},
        wins={group: np.array([[0, (v + 1) / 2], [(1 - v) / 2, 0]]) for group, v in value.items()},
        seats={
            s: np.array([v, -v]) * (1 if s == g else -1)
            for g, v in value.items()
            for s in arrangements(g)
        },
    )
    found = standings(Tally(3, 2, exact), ["r", "p", "s"], utility="zero_sum")
    ratings = {r.method: r.ratings for r in found.results}
    np.testing.assert_allclose(ratings["nash"], 0, atol=1e-9)
    np.testing.assert_allclose(ratings["alpha_rank"], 1 / 3, atol=1e-6)
    np.testing.assert_allclose(ratings["bradley_terry"], 1000, atol=1e-6)
    assert found.transitivity.cyclic == 1
    assert found.uncertainties == (None,) * 4


@pytest.mark.slow
def test_intervals_hold_the_exact_ratings():
    """Of 4 entrants' Nash ratings from 2048 seeds each; 95 % intervals widened by half."""
    setup = setup_of("kuhn_poker", 4, batch=2048)
    groups = all_groups(4, 2)
    tally = Tally(4, 2)
    for group in groups:
        tally.add(play_item(setup, Item(group, 0)))
    names = [entrant.name for entrant in setup.entrants]
    sources = [entrant.source for entrant in setup.entrants]
    found = standings(tally, names, utility="zero_sum", sources=sources)
    exact = Tally(4, 2, exact_meetings(load_tree("kuhn_poker"), setup.entrants))
    known = standings(exact, names, utility="zero_sum", sources=sources)
    for result_, uncertainty, truth in zip(
        found.results, found.uncertainties, known.results, strict=True
    ):
        if result_.method != "alpha_rank":
            slack = 0.5 * (uncertainty.high - uncertainty.low) + 1e-6
            assert (truth.ratings > uncertainty.low - slack).all(), result_.method
            assert (truth.ratings < uncertainty.high + slack).all(), result_.method
    (one,), (same,) = found.comparisons, known.comparisons
    assert same.interval is None
    assert one.interval[0] - 0.05 < same.value < one.interval[1] + 0.05
    own = antisymmetric(known.payoffs)
    np.testing.assert_allclose(own, -own.T)


def test_three_players_of_a_general_sum_are_rated():
    game = "goofspiel(players=3,num_cards=3,points_order=descending,returns_type=total_points)"
    setup = setup_of(game, 2)
    exact = exact_meetings(load_tree(game), setup.entrants)
    found = standings(Tally(2, 3, exact), ["a", "b"], utility="general_sum")
    assert found.results[0].method == "cce"
    assert found.payoffs.shape == (2, 2, 2) and found.transitivity is None
    # Axes 1 and 2 are the others, in any order.
    np.testing.assert_allclose(found.payoffs, found.payoffs.transpose(0, 2, 1), atol=1e-12)


class Crashing:
    """Raises at every decision."""

    def begin(self, seeds: np.ndarray) -> None:
        """Nothing to prepare."""

    def choose(self, turn) -> Choice:
        raise RuntimeError("no")


def crashing_player(seat: int, lanes) -> Crashing:
    return Crashing()


def test_an_entrant_that_crashes_loses_its_games_and_no_others():
    lanes = load_lanes("kuhn_poker")
    entrants = (Entrant("u", uniform_player), Entrant("c", crashing_player))
    setup = Setup("kuhn_poker", entrants, 0, 16, None, 1, 5_000_000)
    played = play_item(setup, Item((0, 1), 0))
    assert len(played.forfeits) == 32 and {f.reason for f in played.forfeits} == {"crash"}
    least = lanes.info.min_return
    np.testing.assert_array_equal(played.returns[0], [[-least, least]] * 16)
    np.testing.assert_array_equal(played.returns[1], [[least, -least]] * 16)
    assert not play_item(setup, Item((0, 0), 0)).forfeits


@settings(max_examples=25, deadline=None)
@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(["group", "block", "returns", "decisions", "forfeits", "seconds"]),
                x,
            )
        ),
        max_leaves=8,
    )
)
def test_broken_lines_of_a_log_are_refused_in_words(content):
    from evaluation.types import DataError

    with pytest.raises(DataError):
        result_of_json(content)
