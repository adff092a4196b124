"""The published population of running-with-scissors: eight strategies, numbered from 0.

From the data of the authors' demonstration of NeuPL (Liu et al. 2022, arXiv 2202.07415), where
payoffs are clipped at 30 points. Their interaction graph is the equilibrium of payoffs that were
not: it takes about 41 points of strategy 2 against 1.
"""

import numpy as np

SIZE = 8
# Payoffs to the row strategy, in game points; the other half is its negative.
_ABOVE = (
    (-28.1, 28.9, -20.6, 2.1, -9.0, -0.7, 0.8),
    (-30.0, -30.0, -0.1, -30.0, -28.3, 7.2),
    (-29.6, -24.4, 3.7, -8.0, -17.8),
    (-25.9, 3.7, -14.4, -12.7),
    (-19.6, -1.8, -4.3),
    (-16.2, 0.3),
    (-13.6,),
)
# Shares of the strategies that each one responds to, from strategy 1 on.
_ROWS = (
    {0: 1.0},
    {1: 1.0},
    {0: 0.414, 1: 0.295, 2: 0.291},
    {3: 1.0},
    {1: 0.363, 2: 0.007, 4: 0.629},
    {3: 0.416, 4: 0.122, 5: 0.463},
    {6: 1.0},
)
# Strategies that each beat the one before, and the first the last.
CYCLE = (0, 1, 2)
# The strategy that sees whom it meets, and its mean payoff over the cycle.
ANSWER, ANSWER_MEAN = 3, 26.7


def payoffs() -> np.ndarray:
    """`[8, 8]` payoffs to the row strategy, in game points."""
    found = np.zeros((SIZE, SIZE))
    for k, above in enumerate(_ABOVE):
        found[k, k + 1 :] = above
    return found - found.T


def rows() -> np.ndarray:
    """`[8, 8]` the interaction graph."""
    found = np.zeros((SIZE, SIZE))
    for k, row in enumerate(_ROWS, start=1):
        for other, share in row.items():
            found[k, other] = share
    return found
