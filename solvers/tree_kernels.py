"""Loops in float64 over the flat arrays of a `SequenceForm`, compiled by Numba.

Every function works on plain arrays and writes into arrays that its caller made. Shape letters
besides the house's: `Q` sequences, `M` merged terminals, `B` policies (or pieces of advice) at a
time, `J` profiles of co-players. A plan `[Q]` holds all seats' parts side by side, so a product
over seats is a product of `P` of its entries.
"""

import numba
import numpy as np


@numba.njit(cache=True)
def realize(policy, cell, parent, first, plan):
    """Writes the plans `[B, Q]` of policies `[B, S * A]`, from the first decisions on."""
    num_players = first[0]
    for b in range(len(policy)):
        _realize(policy[b], cell, parent, first, num_players, plan[b])


@numba.njit(cache=True)
def _realize(policy, cell, parent, first, num_players, plan):
    plan[:num_players] = 1.0
    for s in range(len(parent)):
        arrives = plan[parent[s]]
        for q in range(first[s], first[s + 1]):
            plan[q] = arrives * policy[cell[q - num_players]]


@numba.njit(cache=True)
def _values_and_returns(last, run, pay, plan, values, returns):
    """Adds returns at own last sequences to `values` `[Q]`, and expected returns to `returns`."""
    num_players = pay.shape[1]
    if num_players == 2:
        for r in range(len(run) - 1):
            row = last[run[r], 0]
            plays, against_row, earned = plan[row], 0.0, 0.0
            for m in range(run[r], run[r + 1]):
                column = last[m, 1]
                against_row += plan[column] * pay[m, 0]
                earned += plan[column] * pay[m, 1]
                values[column] += plays * pay[m, 1]
            values[row] += against_row
            returns[0] += plays * against_row
            returns[1] += plays * earned
        return
    at, before = np.empty(num_players), np.empty(num_players)
    for m in range(len(last)):
        product = 1.0
        for p in range(num_players):
            at[p], before[p] = plan[last[m, p]], product
            product *= at[p]
        after = 1.0
        for p in range(num_players - 1, -1, -1):
            values[last[m, p]] += before[p] * after * pay[m, p]
            returns[p] += product * pay[m, p]
            after *= at[p]


@numba.njit(cache=True)
def values_and_returns(last, run, pay, plan, values, returns):
    """`_values_and_returns` of plans `[B, Q]` into zeroed `values` `[B, Q]`, `returns` `[B, P]`."""
    for b in range(len(plan)):
        _values_and_returns(last, run, pay, plan[b], values[b], returns[b])


@numba.njit(cache=True)
def expected_returns(last, run, pay, plan, returns):
    """Adds the expected returns of plans `[B, Q]` to `returns` `[B, P]`."""
    num_players = pay.shape[1]
    for b in range(len(plan)):
        own, out = plan[b], returns[b]
        for r in range(len(run) - 1):
            plays = own[last[run[r], 0]]
            if plays == 0.0:
                continue
            if num_players == 2:
                first, second = 0.0, 0.0
                for m in range(run[r], run[r + 1]):
                    reach = own[last[m, 1]]
                    first += reach * pay[m, 0]
                    second += reach * pay[m, 1]
                out[0] += plays * first
                out[1] += plays * second
                continue
            for m in range(run[r], run[r + 1]):
                reach = plays
                for p in range(1, num_players):
                    reach *= own[last[m, p]]
                for p in range(num_players):
                    out[p] += reach * pay[m, p]


@numba.njit(cache=True)
def _gains(plan, parent, first, last, run, pay, values, gains):
    values[:] = 0.0
    gains[:] = 0.0
    _values_and_returns(last, run, pay, plan, values, gains)
    for s in range(len(parent) - 1, -1, -1):
        best = values[first[s]]
        for q in range(first[s] + 1, first[s + 1]):
            best = max(best, values[q])
        values[parent[s]] += best
    least = 0.0
    for p in range(len(gains)):
        gains[p] = values[p] - gains[p]
        least = min(least, gains[p])
    return least


@numba.njit(cache=True)
def gains_of_plans(plan, parent, first, last, run, pay, gains):
    """Best-response value minus expected return of every seat.

    Args:
      plan: `[B * Q]`.
      parent: `[S]`, and the arrays up to `pay` as in `SequenceForm`.
      gains: `[B * P]`, overwritten.

    Returns:
      The least gain, or 0.
    """
    num_sequences, num_players = first[-1], first[0]
    values, least = np.empty(num_sequences), 0.0
    for b in range(len(gains) // num_players):
        own = plan[b * num_sequences : (b + 1) * num_sequences]
        out = gains[b * num_players : (b + 1) * num_players]
        least = min(least, _gains(own, parent, first, last, run, pay, values, out))
    return least


@numba.njit(cache=True)
def gains_of_policies(policy, cell, parent, first, last, run, pay, gains):
    """`gains_of_plans` of policies `[B * S * A]`, without storing all their plans."""
    num_sequences, num_players = first[-1], first[0]
    num_policies = len(gains) // num_players
    size, least = len(policy) // max(num_policies, 1), 0.0
    plan, values = np.empty(num_sequences), np.empty(num_sequences)
    for b in range(num_policies):
        _realize(policy[b * size : (b + 1) * size], cell, parent, first, num_players, plan)
        out = gains[b * num_players : (b + 1) * num_players]
        least = min(least, _gains(plan, parent, first, last, run, pay, values, out))
    return least


@numba.njit(cache=True)
def are_policies(policy, legal, tolerance):
    """Whether all rows of `policy` `[B, S * A]` are distributions over legal actions `[S, A]`."""
    num_infosets, num_actions = legal.shape
    for b in range(len(policy)):
        cell = 0
        for s in range(num_infosets):
            total = 0.0
            for a in range(num_actions):
                probability = policy[b, cell]
                # Written so that NaN fails.
                if not probability >= 0.0 or (probability > 0.0 and not legal[s, a]):
                    return False
                total += probability
                cell += 1
            if not abs(total - 1.0) <= tolerance:
                return False
    return True


@numba.njit(cache=True)
def sum_at(index, amounts, totals):
    """Adds `amounts[b, z]` to `totals[b, index[z]]`."""
    for b in range(len(amounts)):
        for z in range(len(index)):
            totals[b, index[z]] += amounts[b, z]


@numba.njit(cache=True)
def values_against_profiles(last, amount, table, first_of, rest_of, weights, values):
    """Adds what each sequence of one seat earns against profiles of the others that are drawn.

    Terminals are sorted by seat, so they form a trie, and products over seats are built up from its
    leaves: a sequence of seat p below a prefix is weighted by what each of p's strategies plays
    there. Only combinations of strategies that have mass are held, and strategies that never play a
    sequence are skipped, so a pass costs at most terminals times profiles with mass.

    Args:
      last: `[M, P]` last sequences in lexicographic order, the responding seat's in column 0.
      amount: `[M]` chance-weighted returns of that seat, or chance probabilities.
      table: `[Q, max K_p]`, probability that strategy k plays a sequence.
      first_of: `[P, max K_p + 1]`; at column p, the combinations of strategies of the seats in
        columns p, p + 1, ... are sorted by p's strategy, and this is where each strategy starts.
      rest_of: `[P, J]`, number of the combination of columns p + 1, ... within each of those.
      weights: `[J, B]` probability of each combination of all co-players, per piece of advice.
      values: `[Q, B]`.
    """
    num_terminals, num_players = last.shape
    num_strategies = first_of.shape[1] - 1
    num_profiles, num_advice = weights.shape
    leaf = num_players - 1
    below = np.zeros((leaf, num_profiles))
    for m in range(num_terminals):
        same = 0
        if m + 1 < num_terminals:
            while last[m, same] == last[m + 1, same]:
                same += 1
        for k in range(num_strategies):
            weight = table[last[m, leaf], k]
            if weight != 0.0 and first_of[leaf, k] < first_of[leaf, k + 1]:
                below[leaf - 1, first_of[leaf, k]] += weight * amount[m]
        for p in range(leaf - 1, max(same, 1) - 1, -1):
            for k in range(num_strategies):
                weight = table[last[m, p], k]
                if weight != 0.0:
                    for c in range(first_of[p, k], first_of[p, k + 1]):
                        below[p - 1, c] += weight * below[p, rest_of[p, c]]
            below[p, : first_of[p + 1, num_strategies]] = 0.0
        if same == 0:
            for j in range(num_profiles):
                if below[0, j] != 0.0:
                    for b in range(num_advice):
                        values[last[m, 0], b] += below[0, j] * weights[j, b]
            below[0, :] = 0.0


@numba.njit(cache=True)
def respond(values, reach, infosets, parent, first, cell, tie, spread, policy):
    """Best responses of one seat to `[B, Q]` values and reaches, which it overwrites.

    Actions within `tie` times the reach of the information state of its best count as tied; the
    lowest of them gets probability 1, or each the same where the reach is at most `spread`. Rows go
    to `policy` `[B, S * A]`, the values of the responses to the seat's empty sequence in `values`.
    """
    num_players = first[0]
    for b in range(len(values)):
        for i in range(len(infosets) - 1, -1, -1):
            s = infosets[i]
            best, here = values[b, first[s]], reach[b, first[s]]
            for q in range(first[s] + 1, first[s + 1]):
                best = max(best, values[b, q])
            tied = 0
            for q in range(first[s], first[s + 1]):
                tied += values[b, q] >= best - tie * here
            uniform = here <= spread
            share = 1.0 / tied if uniform else 1.0
            for q in range(first[s], first[s + 1]):
                if values[b, q] >= best - tie * here:
                    policy[b, cell[q - num_players]] = share
                    if not uniform:
                        break
            values[b, parent[s]] += best
            reach[b, parent[s]] += here


@numba.njit(cache=True)
def respond_softly(values, reach, infosets, parent, first, cell, temperature, policy):
    """`respond` for the entropy-regularised objective, at temperatures `[B]` > 0."""
    num_players = first[0]
    for b in range(len(values)):
        for i in range(len(infosets) - 1, -1, -1):
            s = infosets[i]
            here = reach[b, first[s]]
            tau = temperature[b] * here
            # Where nobody arrives every value is 0; dividing by 1 makes the softmax uniform.
            unit = tau if tau > 0.0 else 1.0
            top = values[b, first[s]]
            for q in range(first[s] + 1, first[s + 1]):
                top = max(top, values[b, q])
            total = 0.0
            for q in range(first[s], first[s + 1]):
                weight = np.exp((values[b, q] - top) / unit)
                policy[b, cell[q - num_players]] = weight
                total += weight
            for q in range(first[s], first[s + 1]):
                policy[b, cell[q - num_players]] /= total
            values[b, parent[s]] += top + tau * np.log(total)
            reach[b, parent[s]] += here


@numba.njit(cache=True)
def best_values(values, infosets, parent, first):
    """Adds the best values of one seat's information states up to its empty sequence, in place."""
    for b in range(len(values)):
        for i in range(len(infosets) - 1, -1, -1):
            s = infosets[i]
            best = values[b, first[s]]
            for q in range(first[s] + 1, first[s + 1]):
                best = max(best, values[b, q])
            values[b, parent[s]] += best


@numba.njit(cache=True)
def arrivals(reach, infosets, parent, first, at_infoset):
    """Reach of one seat's information states, `[B, S]`, from that of its sequences `[B, Q]`."""
    for b in range(len(reach)):
        for i in range(len(infosets) - 1, -1, -1):
            s = infosets[i]
            here = reach[b, first[s]]
            at_infoset[b, s] = here
            reach[b, parent[s]] += here


@numba.njit(cache=True)
def payoff_tensor(last, pay, table, sizes, tensor):
    """Adds the expected returns of all profiles to a flat `tensor` `[K_0 * ... * K_{P-1} * P]`.

    Terminals are sorted by seat, so they form a trie. The returns below a prefix of sequences are a
    tensor over the strategies of the remaining seats; when the prefix ends, it is weighted by what
    each strategy of the seat before does there. Memory is one such tensor per seat.

    Args:
      last: `[M, P]`, in lexicographic order.
      pay: `[M, P]`.
      table: `[Q, max K_p]`, probability that strategy k plays a sequence.
      sizes: `[P]` numbers of strategies.
      tensor: zeros.
    """
    num_terminals, num_players = pay.shape
    width = np.empty(num_players + 1, np.int64)
    width[num_players] = num_players
    for p in range(num_players - 1, -1, -1):
        width[p] = width[p + 1] * sizes[p]
    below = np.zeros((num_players, width[1]))
    for m in range(num_terminals):
        same = 0
        if m + 1 < num_terminals:
            while last[m, same] == last[m + 1, same]:
                same += 1
        below[num_players - 1, :num_players] += pay[m]
        for p in range(num_players - 1, same - 1, -1):
            block, size = below[p], width[p + 1]
            above = tensor if p == 0 else below[p - 1]
            for k in range(sizes[p]):
                weight = table[last[m, p], k]
                if weight != 0.0:
                    start = k * size
                    for i in range(size):
                        above[start + i] += weight * block[i]
            block[:size] = 0.0
