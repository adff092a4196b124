"""What `reproduce_jpsro.py` runs: games, what OpenSpiel was recorded to do on them, and targets.

The games are those of the authors' example (Marris et al. 2021, arXiv 2106.09435). The recorded
gaps are OpenSpiel 2.0.2's with cvxpy 1.9.3 and seed 1: uniform first strategies, `largest_gap`,
all players updated, trained by `mgcce` and evaluated by `mwcce`. They are reference numbers of its
program on one machine, not of the paper.
"""

import dataclasses
from typing import Literal

RECORDED_WITH = "OpenSpiel 2.0.2, cvxpy 1.9.3, seed 1"
# A gap that counts as none, in game points: OpenSpiel sets smaller gains to 0.
ZERO = 1e-8
# Iterations by which a milestone may be missed.
SLACK = 2
# The gap asked for where OpenSpiel cannot go, in game points.
SMALL = 1e-3


@dataclasses.dataclass(frozen=True)
class Milestone:
    """An iteration at which the gap was recorded to be small.

    Attributes:
      kind: `"from"`: there and at all later ones; `"first"`: for the first time.
      iteration: which, from 1.
      below: what the gap is less than, in game points.
    """

    kind: Literal["from", "first"]
    iteration: int
    below: float = ZERO


@dataclasses.dataclass(frozen=True)
class SpeedTarget:
    """How much less CPU time than OpenSpiel.

    Attributes:
      ratio: OpenSpiel's CPU seconds over ours, at least.
      gap: to get to this gap or less, in game points; `None`: to the least that OpenSpiel got to.
    """

    ratio: float
    gap: float | None = None


@dataclasses.dataclass(frozen=True)
class Case:
    """A game for JPSRO with the maximum-Gini CCE.

    Attributes:
      game: OpenSpiel's string.
      num_players: its number of players.
      recorded: OpenSpiel's gaps at iterations 1, 2, ..., with the digits that were recorded.
      milestones: where they were recorded to be small.
      iterations: of the authors' process, ours and OpenSpiel's; 0 does not run it.
      speed: what is asked of the process that drops repeats.
      welfare: greatest sum of payoffs of a CCE, where it is recorded.
      tolerance: gap at which the process that drops repeats stops, in game points.
      share_of_uniform: the gap that this process must reach, as a share of the uniform strategies'.
      memory_gib: what it may take.
      ties: whether to run every combination of repeats and ties.
      refused: part of the error with which the game is refused, if it is.
      remembers: players also remember what they saw and did (`remembering_state`); OpenSpiel then
        has no such game to compare with.
      note: said in the report.
    """

    game: str
    num_players: int = 2
    recorded: str = ""
    milestones: tuple[Milestone, ...] = ()
    iterations: int = 0
    speed: SpeedTarget | None = None
    welfare: float | None = None
    tolerance: float = ZERO
    share_of_uniform: float | None = None
    memory_gib: float | None = None
    ties: bool = False
    refused: str | None = None
    remembers: bool = False
    note: str | None = None


GOOFSPIEL_5 = "goofspiel(imp_info=True,egocentric=True,num_cards=5"

CASES = {
    "kuhn_2p": Case(
        "kuhn_poker",
        recorded=".917 .833 .333 .272 .167 .103 .020 0",
        milestones=(Milestone("from", 8),),
        iterations=12,
    ),
    "kuhn_3p": Case(
        "kuhn_poker(players=3)",
        num_players=3,
        recorded="2.063 .833 .625 .485 .425 .333 .251 .111 .048 .050 .018 .008 .003 .001",
        iterations=20,
        speed=SpeedTarget(500, gap=1e-3),
    ),
    "trade_comm_2i": Case(
        "trade_comm(num_items=2)",
        recorded=".125 0 .063 .188 0 .025 .075 0",
        milestones=(Milestone("from", 8),),
        iterations=12,
        welfare=2.0,
    ),
    "trade_comm_3i": Case(
        "trade_comm(num_items=3)",
        recorded=".049 0 .025 .086 .012 .111 .043 .025 .124 .008 .066 0",
        milestones=(Milestone("from", 12),),
        iterations=16,
        welfare=2.0,
    ),
    "sheriff_1r": Case(
        "sheriff(num_rounds=1)",
        recorded="3.19 1.50 3.00 .523 1.167 .311 0",
        milestones=(Milestone("from", 7),),
        iterations=12,
        welfare=0.75,
        ties=True,
    ),
    "sheriff_gabriele": Case(
        "sheriff(item_penalty=1.0,item_value=5.0,max_bribe=2,max_items=10,num_rounds=2,"
        "sheriff_penalty=1.0)",
        recorded="12.4 5.91 1.37 16.5 .90 7.55 .60 5.56 .21 9.84",
        milestones=(Milestone("first", 28, below=5e-5),),
        iterations=46,
        speed=SpeedTarget(50),
        welfare=13.636,
        note="OpenSpiel's gap was recorded to stay below 5e-5 from iteration 28 on and to be 0 "
        "from 40 on. Where it stays is not judged: by then the runs have long parted.",
    ),
    "goofspiel_3c_total": Case(
        "goofspiel(returns_type=total_points,num_cards=3)",
        recorded="1.33 1.49 1.58 .82 .49 .47 .25 .15 .21",
        milestones=(Milestone("first", 31),),
        iterations=36,
        speed=SpeedTarget(50),
        welfare=6.0,
    ),
    "goofspiel_4c_total": Case(
        "goofspiel(returns_type=total_points,num_cards=4)",
        recorded="2.50 3.76 3.61 3.11 2.54 1.80 1.97 1.38 1.17 1.24",
        iterations=12,
        refused="imperfect recall",
        note="As OpenSpiel writes it, an information state of this game tells hands, point cards, "
        "who won them and the points, but not which card the player bid when: it forgets its own "
        "actions. Then a mixture of strategies is no policy, best responses are not found by one "
        "pass up the tree, and a gap computed as if they were means nothing. We refuse the game; "
        "OpenSpiel does not check.",
    ),
    "goofspiel_4c_total_recall": Case(
        "goofspiel(returns_type=total_points,num_cards=4)",
        recorded="2.50 3.76 3.61 3.11 2.54 1.80 1.97 1.38 1.17 1.24",
        iterations=12,
        tolerance=SMALL,
        remembers=True,
        note="The game above with every player's own observations and actions added to its "
        "information states: the same rules, with perfect recall. The recorded gaps are those of "
        "the game that forgets, for comparison; they must part, because a player that remembers "
        "has more to deviate to.",
    ),
    "goofspiel_5c_dsc_total": Case(
        f"{GOOFSPIEL_5},points_order=descending,returns_type=total_points)",
        recorded="4.00 5.31 7.10 5.44 3.72 3.06 3.30 2.12 1.56 1.36 1.51 .86 1.33 1.09 .86 .78 .93 "
        "1.09",
        iterations=24,
        tolerance=SMALL,
    ),
    "goofspiel_5c_dsc_pt_diff": Case(
        f"{GOOFSPIEL_5},points_order=descending,returns_type=point_difference)",
        iterations=24,
        tolerance=SMALL,
        note="OpenSpiel was recorded to hang here: CVXOPT failed, and the OSQP that it falls back "
        "to may take 1e9 steps.",
    ),
    "tiny_bridge_2p": Case("tiny_bridge_2p", iterations=16, speed=SpeedTarget(50)),
    "sheriff_2r": Case(
        "sheriff(num_rounds=2)",
        iterations=130,
        ties=True,
        note="OpenSpiel was recorded to crash at iteration 32, gap 0.217: ECOS fails on the "
        "evaluation joint.",
    ),
    "sheriff_3r": Case("sheriff(num_rounds=3)"),
    "trade_comm_4i": Case("trade_comm(num_items=4)", iterations=24, welfare=2.0),
    "trade_comm_5i": Case("trade_comm(num_items=5)", iterations=32, welfare=2.0),
    "kuhn_4p": Case("kuhn_poker(players=4)", num_players=4, tolerance=SMALL),
    "goofspiel_5c_total": Case(f"{GOOFSPIEL_5},returns_type=total_points)", tolerance=SMALL),
    "leduc_2p": Case(
        "leduc_poker",
        iterations=40,
        tolerance=SMALL,
        note="OpenSpiel was recorded to hang at iteration 25, gap 1.93: CVXOPT failed, and the "
        "OSQP that it falls back to may take 1e9 steps.",
    ),
    "leduc_3p": Case(
        "leduc_poker(players=3)",
        num_players=3,
        tolerance=SMALL,
        share_of_uniform=0.2,
        memory_gib=8.0,
    ),
}
# Where OpenSpiel cannot go within its time, or was not recorded to.
BEYOND = (
    "goofspiel_5c_dsc_total", "goofspiel_5c_dsc_pt_diff", "goofspiel_5c_total", "tiny_bridge_2p",
    "sheriff_2r", "sheriff_3r", "trade_comm_4i", "trade_comm_5i", "kuhn_4p", "leduc_2p", "leduc_3p",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class ZeroSumCase:
    """A game for exact PSRO.

    Attributes:
      game: OpenSpiel's string.
      limits: NashConv to get to, in game points, with the CPU seconds that it may take.
    """

    game: str
    limits: tuple[tuple[float, float], ...] = ()


ZERO_SUM_CASES = {
    "psro_kuhn": ZeroSumCase("kuhn_poker"),
    "psro_leduc": ZeroSumCase("leduc_poker", limits=((0.2, 3.0), (1e-9, 60.0))),
    "psro_goofspiel_4": ZeroSumCase("goofspiel(imp_info=True,num_cards=4,points_order=descending)"),
    "psro_liars_dice_4": ZeroSumCase("liars_dice(numdice=1,dice_sides=4)"),
}
# What exact PSRO goes down to, in game points.
PSRO_TOLERANCE = 1e-10
