"""Tournaments: who plays whom, the games, payoffs with standard errors, and ratings of them."""

from evaluation.tournament.items import Item, ItemResult, Setup, play_item
from evaluation.tournament.standings import Standings, standings
from evaluation.tournament.tally import Tally
from evaluation.tournament.types import Entrant, Group, arrangements

__all__ = [
    "Entrant",
    "Group",
    "Item",
    "ItemResult",
    "Setup",
    "Standings",
    "Tally",
    "arrangements",
    "play_item",
    "standings",
]
