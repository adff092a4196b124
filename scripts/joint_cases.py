"""The games of `reproduce_neupl_jpsro.py` with what is asked of them, and the ablations."""

import dataclasses
from typing import Literal

GABRIELE = (
    "sheriff(item_penalty=1.0,item_value=5.0,max_bribe=2,max_items=10,num_rounds=2,"
    "sheriff_penalty=1.0)"
)
SMALL_SHERIFF = (
    "sheriff(item_penalty=2.0,item_value=1.0,max_bribe=2,max_items=2,num_rounds=2,"
    "sheriff_penalty=3.0)"
)
GOOFSPIEL = "goofspiel(imp_info=True,num_cards={cards},{more}points_order=descending,\
returns_type=total_points)"


Oracle = Literal["exact", "ppo", "sampled"]

# What a gap may be at most beside that of exact JPSRO with as many strategies: this factor of it,
# or this share of the payoff range.
ALLOWED: dict[Oracle, tuple[float, float]] = {
    "exact": (1.3, 0.005),
    "ppo": (2.0, 0.02),
    "sampled": (2.0, 0.02),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """A game to train.

    Attributes:
      game: an OpenSpiel string.
      preset: a file of `configs/`, or `None` for `--game` with its defaults.
      changes: of the preset or the defaults, `key=value`.
      oracle: where responses come from: the game tree (`exact`), episodes with everything else from
        the tree (`ppo`), or episodes alone (`sampled`).
      gap: CCE gap to be reached, in game points.
      welfare: sum of what the seats earn under the joint that is kept, at least, in game points.
      limit_s: seconds of the whole command in which both must be reached.
    """

    game: str
    preset: str | None = None
    changes: tuple[str, ...] = ()
    oracle: Oracle = "exact"
    gap: float = float("inf")
    welfare: float = float("-inf")
    limit_s: float = float("inf")


GAMES = {
    "kuhn_3p": "kuhn_poker(players=3)",
    "kuhn_4p": "kuhn_poker(players=4)",
    "sheriff_small": SMALL_SHERIFF,
    "sheriff_gabriele": GABRIELE,
    "goofspiel_4": GOOFSPIEL.format(cards=4, more=""),
    "goofspiel_4_3p": GOOFSPIEL.format(cards=4, more="players=3,"),
    "trade_comm_2": "trade_comm(num_items=2)",
    "trade_comm_3": "trade_comm(num_items=3)",
    "trade_comm_4": "trade_comm(num_items=4)",
    "goofspiel_5": GOOFSPIEL.format(cards=5, more=""),
    "tiny_bridge_2p": "tiny_bridge_2p",
}
PRESETS = {
    "kuhn_3p": "kuhn_poker_3p",
    "kuhn_4p": "kuhn_poker_4p",
    "goofspiel_4": "goofspiel_4_total",
    "goofspiel_5": "goofspiel_5_total",
}
# What is asked for besides the gap of exact JPSRO: of the exact oracle, then of the one that learns
# from episodes.
ASKED: dict[str, tuple[dict[str, float], dict[str, float]]] = {
    "kuhn_3p": ({"gap": 0.005, "limit_s": 120}, {"gap": 0.03, "limit_s": 180}),
    "kuhn_4p": ({"gap": 0.02, "limit_s": 300}, {"gap": 0.1, "limit_s": 600}),
    "sheriff_small": ({"gap": 0.005, "limit_s": 120}, {"gap": 0.02, "limit_s": 180}),
    "sheriff_gabriele": ({"gap": 0.05, "welfare": 13.6}, {"gap": 0.3, "welfare": 12.0}),
    "goofspiel_4": ({"gap": 0.05, "limit_s": 300}, {"gap": 0.15, "limit_s": 600}),
    "goofspiel_4_3p": ({"gap": 0.1, "limit_s": 600}, {"gap": 0.3, "limit_s": 1200}),
    "trade_comm_2": ({"gap": 0.002, "welfare": 1.99}, {"welfare": 1.9}),
    "trade_comm_3": ({"gap": 0.002, "welfare": 1.99}, {"welfare": 1.9}),
    "trade_comm_4": ({"gap": 0.002, "welfare": 1.99}, {"welfare": 1.9}),
}


def _preset(name: str, oracle: Oracle) -> Case:
    stem = PRESETS.get(name, name)
    exact, learned = ASKED.get(name, ({}, {}))
    if oracle == "exact":
        return Case(GAMES[name], f"{stem}.yaml", **exact)
    return Case(GAMES[name], f"{stem}_ppo.yaml", oracle=oracle, **learned)


FROM_EPISODES = ("learner.kind=ppo", "graph.kind=jpsro", "evaluation.payoffs=sampled")

CASES = {
    **{name: _preset(name, "exact") for name in GAMES},
    **{f"{name}_ppo": _preset(name, "ppo") for name in GAMES},
    # No preset, the defaults of `--game`.
    "sheriff_1r": Case("sheriff(num_rounds=1)"),
    "stag_hunt": Case("matrix_sh"),
    "bach_stravinsky": Case("matrix_bos"),
    "goofspiel_3_3p": Case(GOOFSPIEL.format(cards=3, more="players=3,")),
    # From episodes alone, with the defaults.
    "kuhn_3p_sampled": Case(GAMES["kuhn_3p"], changes=FROM_EPISODES, oracle="sampled"),
    "sheriff_small_sampled": Case(SMALL_SHERIFF, changes=FROM_EPISODES, oracle="sampled"),
    "leduc_3p_sampled": Case("leduc_poker(players=3)", "leduc_poker_3p_ppo.yaml", oracle="sampled"),
    # Three-player Leduc poker has 1.8 million nodes.
    "leduc_3p": Case("leduc_poker(players=3)", "leduc_poker_3p.yaml"),
}

# What is taken away, as changes of the preset.
ABLATIONS = {
    "NeuPL-JPSRO": (),
    "no rehearsal": ("jpsro.hold_weight=0",),
    "even ties, no novelty": ("jpsro.ties=even", "jpsro.novelty=never"),
    "meta-strategy alone": ("jpsro.judge=none",),
    "uniform joint": ("graph.meta_solver=uniform",),
    "product of marginals": ("jpsro.coplayers=product",),
    "no gate": ("jpsro.fit=100", "jpsro.drift=100"),
    "independent networks": ("network.kind=separate",),
    "direct form": ("jpsro.form=direct",),
}
ABLATED = ("kuhn_3p", "sheriff_small", "goofspiel_4")

QUICK = ("trade_comm_2",)
