"""What `reproduce_neupl.py --learner ppo` trains: targets, and baselines beside our population."""

import dataclasses

from neupl_cases import CASES

# What a population may lose at most, relative to exact PSRO of as many strategies.
MUST_FACTOR, AIM_FACTOR, RANGE_SHARE = 2.0, 1.3, 0.02


@dataclasses.dataclass(frozen=True)
class Target:
    """A game to be trained from episodes alone.

    Attributes:
      preset: a file of `configs/`, or `None` for a game with the defaults of sampled runs.
      game: an OpenSpiel string, where there is no preset.
      changes: of the configuration.
      must: NashConv that must be reached besides the relative target, in game points.
      aim: NashConv that is hoped for, in game points.
      limit_s: wall-clock seconds of the whole command in which `must` and `aim` are to be reached.
      beyond_reach: why no population of ours meets the target; such a case is reported, not judged.
    """

    preset: str | None = None
    game: str | None = None
    changes: tuple[str, ...] = ()
    must: float = float("inf")
    aim: float = float("inf")
    limit_s: float = float("inf")
    beyond_reach: str | None = None


# The mixture chosen against trained responses, where there is no preset that says so.
RESPONSES = ("evaluation.responses=10", "evaluation.response_batches=100")
TARGETS = {
    "kuhn_poker": Target("kuhn_poker_ppo.yaml", must=0.1, aim=0.02, limit_s=60),
    "leduc_poker": Target("leduc_poker_ppo.yaml", must=1.0, aim=0.7, limit_s=60),
    "leduc_poker_16": Target("leduc_poker_ppo_16.yaml", must=0.6, aim=0.45, limit_s=300),
    "leduc_poker_64": Target("leduc_poker_ppo_64.yaml", aim=0.3, limit_s=1800),
    "goofspiel_4": Target(game="goofspiel(imp_info=True,num_cards=4,points_order=descending)"),
    "liars_dice_4": Target(game="liars_dice(numdice=1,dice_sides=4)"),
    **{
        name: Target(game=CASES[name].game, beyond_reach=CASES[name].beyond_reach)
        for name in ("goofspiel_5", "battleship_2", "liars_dice_3", "dark_hex_2", "blotto_6_3")
    },
    **{
        f"{name}_responses": Target(
            game=CASES[name].game, changes=RESPONSES, beyond_reach=CASES[name].beyond_reach
        )
        for name in ("battleship_2", "blotto_6_3")
    },
}

# Games of which nobody has a tree: what a trained best response gains is all that is known.
TOO_BIG = {"liars_dice_2x2": Target(game="liars_dice(numdice=2)")}


@dataclasses.dataclass(frozen=True)
class Method:
    """A way to train a population, or a single strategy, on the budget of a preset.

    Attributes:
      title: for people.
      changes: of the preset.
    """

    title: str
    changes: tuple[str, ...] = ()


SINGLE = ("population.size=1", "population.sink=none", "graph.kind=self_play")
METHODS = {
    "neupl": Method("NeuPL: one conditional network"),
    "psro": Method("PSRO, a network per strategy from scratch", ("network.kind=separate",)),
    "psro_continued": Method(
        "PSRO, each network continued from its predecessor", ("network.kind=continued",)
    ),
    "independent": Method(
        "independent networks that all go on learning until there are N",
        ("network.kind=separate", "training.rehearse=true"),
    ),
    "self_play": Method("self-play with entropy", (*SINGLE, "temperature.final=0.1")),
    "mirror": Method(
        "magnetic mirror descent", (*SINGLE, "temperature.final=0.1", "learner.mirror=0.5")
    ),
}

# Targets that are trained once more with payoffs from the learned head.
LEARNED = {f"{name}:learned": name for name in ("kuhn_poker", "leduc_poker")}

# Games that the methods are compared on, and the NashConv whose time is taken, in game points.
COMPARED = {"kuhn_poker": 0.1, "leduc_poker": 1.0}
