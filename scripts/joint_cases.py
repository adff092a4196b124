"""The games of `reproduce_neupl_jpsro.py` with what is asked of them, and the ablations."""

import dataclasses

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


@dataclasses.dataclass(frozen=True)
class Case:
    """A game to train.

    Attributes:
      game: an OpenSpiel string.
      preset: a file of `configs/`, or `None` for `--game` with its defaults.
      gap: CCE gap to be reached, in game points.
      welfare: sum of what the seats earn under the joint that is kept, at least, in game points.
      limit_s: wall-clock seconds of the whole command in which both must be reached.
    """

    game: str
    preset: str | None = None
    gap: float = float("inf")
    welfare: float = float("-inf")
    limit_s: float = float("inf")


CASES = {
    "kuhn_3p": Case("kuhn_poker(players=3)", "kuhn_poker_3p.yaml", gap=0.005, limit_s=120),
    "kuhn_4p": Case("kuhn_poker(players=4)", "kuhn_poker_4p.yaml", gap=0.02, limit_s=300),
    "sheriff_small": Case(SMALL_SHERIFF, "sheriff_small.yaml", gap=0.005, limit_s=120),
    "sheriff_gabriele": Case(GABRIELE, "sheriff_gabriele.yaml", gap=0.05, welfare=13.6),
    "goofspiel_4": Case(
        GOOFSPIEL.format(cards=4, more=""), "goofspiel_4_total.yaml", gap=0.05, limit_s=300
    ),
    "goofspiel_4_3p": Case(
        GOOFSPIEL.format(cards=4, more="players=3,"),
        "goofspiel_4_3p.yaml",
        gap=0.1,
        limit_s=600,
    ),
    "trade_comm_2": Case("trade_comm(num_items=2)", "trade_comm_2.yaml", gap=0.002, welfare=1.99),
    "trade_comm_3": Case("trade_comm(num_items=3)", "trade_comm_3.yaml", gap=0.002, welfare=1.99),
    "trade_comm_4": Case("trade_comm(num_items=4)", "trade_comm_4.yaml", gap=0.002, welfare=1.99),
    # No preset, the defaults of `--game`: only the gap of exact JPSRO is asked for.
    "sheriff_1r": Case("sheriff(num_rounds=1)"),
    "stag_hunt": Case("matrix_sh"),
    "bach_stravinsky": Case("matrix_bos"),
    "goofspiel_3_3p": Case(GOOFSPIEL.format(cards=3, more="players=3,")),
    # Reported with their curves; nothing is asked for.
    "tiny_bridge_2p": Case("tiny_bridge_2p"),
    "goofspiel_5": Case(GOOFSPIEL.format(cards=5, more="")),
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
