"""Loops of regret minimisation in float64 over the arrays of a `RegretForm`, compiled by Numba.

State is in slot order. Helpers are inlined: handing a form to a function copies all its array
headers, which on a small game costs more than the work.
"""

import numba
import numpy as np

# Rows of a dense block are padded to a multiple of this: four doubles fill a vector register, and
# `_add_blocks` writes four out.
LANES = 4


@numba.njit(cache=True)
def start_policy(form, regret, last_regret, policy, plan):
    """Fills `policy` `[Q]` and `plan` `[Q]` from regrets and predictions `[Q]`."""
    num_players = len(form.infoset_start) - 1
    plan[:num_players] = 1.0
    for infoset in range(len(form.parent_slot)):
        first, end = form.first_slot[infoset], form.first_slot[infoset + 1]
        for slot in range(first, end):
            policy[slot] = max(max(regret[slot], 0.0) + last_regret[slot], 0.0)
        _normalise(policy, first, end)
    for player in range(num_players):
        _multiply(form, player, policy, plan)


@numba.njit(cache=True)
def run_alternating(form, rule, regret, last_regret, plan_sum, policy, plan, done, iterations):
    """Makes `iterations` iterations after `done`; in each the seats update one after the other.

    Args:
      form: the tree's index arrays.
      rule: `(alpha, beta, gamma, predictive)`, see `regret.Rule`.
      regret: accumulated regrets `[Q]`, changed in place, as are the next four.
      last_regret: regrets of the last iteration, `[Q]`; stay zero unless predictive.
      plan_sum: weighted sum of the realisation plans, `[Q]`.
      policy: current policy `[Q]`.
      plan: its realisation plan `[Q]`.
      done: iterations made before.
      iterations: how many to make.
    """
    # The entry after the last sequence takes the zeros of padding rows.
    values = np.zeros(len(plan) + 1)
    alpha, beta, gamma, predictive = rule
    for t in range(done + 1, done + iterations + 1):
        step = _kept(t, alpha), _kept(t, beta), float(t) ** gamma, predictive
        for player in range(len(form.infoset_start) - 1):
            _values(form, player, plan, values)
            _update(form, step, player, regret, last_regret, plan_sum, policy, plan, values)
            _multiply(form, player, policy, plan)


@numba.njit(cache=True)
def run_simultaneous(
    form,
    rule,
    regret,
    last_regret,
    plan_sum,
    policy,
    plan,
    done,
    iterations,
    first_averaged,
    gradient,
    earned,
    kept,
):
    """Like `run_alternating`, with all seats updating against the same profile.

    Args:
      first_averaged: iteration from which on `gradient`, `earned` and `kept` are written.
      gradient: weighted sum over iterations of each seat's values of its own sequences against the
        others' plans of that iteration, `[Q]`, changed in place.
      earned: weighted sum of each seat's expected return, `[P]`, changed in place.
      kept: plans played from `first_averaged` on, `[K, Q]`, or no rows where they are not wanted.
    """
    # The entry after the last sequence takes the zeros of padding rows.
    values = np.zeros(len(plan) + 1)
    num_players = len(form.infoset_start) - 1
    alpha, beta, gamma, predictive = rule
    for t in range(done + 1, done + iterations + 1):
        weight = float(t) ** gamma
        step = _kept(t, alpha), _kept(t, beta), weight, predictive
        averaged = t >= first_averaged
        for player in range(num_players):
            _values(form, player, plan, values)
        if averaged:
            for slot in range(len(plan)):
                gradient[slot] += weight * values[slot]
            if len(kept):
                kept[t - first_averaged] = plan
        for player in range(num_players):
            _update(form, step, player, regret, last_regret, plan_sum, policy, plan, values)
            if averaged:
                earned[player] += weight * values[player]
            _multiply(form, player, policy, plan)


@numba.njit(cache=True, inline="always")
def _values(form, player, plan, values):
    """Values of the seat's sequences at the terminals right after them, against `plan`."""
    lo, hi = form.infoset_start[player], form.infoset_start[player + 1]
    values[player] = 0.0
    for slot in range(form.first_slot[lo], form.first_slot[hi]):
        values[slot] = 0.0
    _add_blocks(form, player, plan, values)
    num_others = form.entry_others.shape[1]
    others = form.entry_others
    for row in range(form.row_start[player], form.row_start[player + 1]):
        total = 0.0
        if num_others == 1:
            for entry in range(form.entry_start[row], form.entry_start[row + 1]):
                total += form.entry_amount[entry] * plan[others[entry, 0]]
        elif num_others == 2:
            for entry in range(form.entry_start[row], form.entry_start[row + 1]):
                reach = plan[others[entry, 0]] * plan[others[entry, 1]]
                total += form.entry_amount[entry] * reach
        else:
            for entry in range(form.entry_start[row], form.entry_start[row + 1]):
                reach = form.entry_amount[entry]
                for other in range(num_others):
                    reach *= plan[others[entry, other]]
                total += reach
        values[form.row_slot[row]] += total


@numba.njit(cache=True, inline="always")
def _add_blocks(form, player, plan, values):
    """Adds the dense blocks' part of the seat's values."""
    for block in range(form.block_start[player], form.block_start[player + 1]):
        row, row_end = form.block_row[block], form.block_row[block + 1]
        column, column_end = form.block_column[block], form.block_column[block + 1]
        at = form.block_matrix[block]
        for part in range(row, row_end, LANES):
            a = b = c = d = 0.0
            for k in range(column, column_end):
                reach = plan[form.block_column_slot[k]]
                a += form.matrices[at, 0] * reach
                b += form.matrices[at, 1] * reach
                c += form.matrices[at, 2] * reach
                d += form.matrices[at, 3] * reach
                at += 1
            values[form.block_row_slot[part]] += a
            values[form.block_row_slot[part + 1]] += b
            values[form.block_row_slot[part + 2]] += c
            values[form.block_row_slot[part + 3]] += d


@numba.njit(cache=True, inline="always")
def _update(form, step, player, regret, last_regret, plan_sum, policy, plan, values):
    """Bottom-up over the seat's information states: values, regrets, next policy, average."""
    keep_gain, keep_loss, weight, predictive = step
    plan_sum[player] += weight
    lo, hi = form.infoset_start[player], form.infoset_start[player + 1]
    for infoset in range(hi - 1, lo - 1, -1):
        first, end = form.first_slot[infoset], form.first_slot[infoset + 1]
        value = 0.0
        for slot in range(first, end):
            value += policy[slot] * values[slot]
        values[form.parent_slot[infoset]] += value
        total = 0.0
        for slot in range(first, end):
            gain = values[slot] - value
            accumulated = regret[slot] + gain
            accumulated *= keep_gain if accumulated > 0.0 else keep_loss
            regret[slot] = accumulated
            positive = max(accumulated, 0.0)
            if predictive:
                last_regret[slot] = gain
                positive = max(positive + gain, 0.0)
            plan_sum[slot] += weight * plan[slot]
            policy[slot] = positive
            total += positive
        if total > 0.0:
            for slot in range(first, end):
                policy[slot] /= total
        else:
            policy[first:end] = 1.0 / (end - first)


@numba.njit(cache=True, inline="always")
def _multiply(form, player, policy, plan):
    """Realisation plan of the seat's policy, top-down."""
    for infoset in range(form.infoset_start[player], form.infoset_start[player + 1]):
        reach = plan[form.parent_slot[infoset]]
        for slot in range(form.first_slot[infoset], form.first_slot[infoset + 1]):
            plan[slot] = reach * policy[slot]


@numba.njit(cache=True)
def _kept(t, exponent):
    """What is kept of accumulated regrets after iteration t: t^a / (t^a + 1), 1 and 0 in the
    limits.
    """
    if exponent == np.inf:
        return 1.0
    if exponent == -np.inf:
        return 0.0
    power = float(t) ** exponent
    return power / (power + 1.0)


@numba.njit(cache=True)
def _normalise(policy, first, end):
    """Divides non-negative numbers by their sum; uniform where all are zero."""
    total = policy[first:end].sum()
    if total > 0.0:
        policy[first:end] /= total
    else:
        policy[first:end] = 1.0 / (end - first)


@numba.njit(cache=True)
def best_value(form, player, values):
    """Greatest value of a plan of the seat; `values` `[Q]` of its sequences are overwritten."""
    for infoset in range(form.infoset_start[player + 1] - 1, form.infoset_start[player] - 1, -1):
        first, end = form.first_slot[infoset], form.first_slot[infoset + 1]
        values[form.parent_slot[infoset]] += values[first:end].max()
    return values[player]
