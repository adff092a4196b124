"""What the curves of `reproduce_jpsro.py` say: agreement, milestones, speed, and targets met."""

from collections.abc import Mapping, Sequence
from typing import Any

from jpsro_cases import CASES, SLACK, ZERO, ZERO_SUM_CASES, SpeedTarget

# Combinations of repeats and ties besides the two that every game is run with.
OTHER_TIES = ("drop_lowest_if_reached", "weigh_lowest", "drop_uniform", "weigh_uniform")
# Largest accepted difference from OpenSpiel's measurement of the same NashConv, in game points.
CHECK_TOLERANCE = 1e-6
# Recorded digits are rounded, and come from a quadratic program solved to some digits more.
LAST_DIGIT_SHARE = 0.6
WELFARE_TOLERANCE = 1e-3
# Share by which gaps of two runs may differ and be the same: OpenSpiel's quadratic program.
SAME = 1e-3

Part = Mapping[str, Any]


def recorded_gaps(text: str) -> list[tuple[float, float]]:
    """Recorded gaps, each with how far a gap may be off it: 0.6 of the last digit, 0 having three.

    `"1.50 .103 0"` gives `[(1.5, 0.006), (0.103, 0.0006), (0.0, 0.0006)]`.
    """
    gaps = []
    for word in text.split():
        decimals = len(word.partition(".")[2]) or 3
        gaps.append((float(word), LAST_DIGIT_SHARE * 10.0**-decimals))
    return gaps


def leading_agreement(gaps: Sequence[float], recorded: Sequence[tuple[float, float]]) -> int:
    """How many gaps agree before the first that does not."""
    for count, (gap, (value, tolerance)) in enumerate(zip(gaps, recorded, strict=False)):
        if abs(gap - value) > tolerance:
            return count
    return min(len(gaps), len(recorded))


def same_start(gaps: Sequence[float], others: Sequence[float]) -> int:
    """How many gaps are those of another run, to 0.1 %, before the first that is not."""
    tolerances = (
        (other, SAME * max(other, gap) + ZERO) for gap, other in zip(gaps, others, strict=False)
    )
    return leading_agreement(gaps, list(tolerances))


def milestone(gaps: Sequence[float], kind: str, below: float = ZERO) -> int | None:
    """The first iteration (from 1) with a gap below a bound, or the one from which all are."""
    small = [gap < below for gap in gaps]
    if kind == "first":
        return small.index(True) + 1 if any(small) else None
    if not small or not small[-1]:
        return None
    return len(small) - small[::-1].index(False) + 1 if not all(small) else 1


def seconds_to(part: Part, gap: float) -> float | None:
    """CPU seconds until a part first reached the gap; `None` if it did not."""
    curve = part["curve"]
    return next((s for s, g in zip(curve["cpu_s"], curve["gap"], strict=True) if g <= gap), None)


def speed(target: SpeedTarget | None, ours: Part, peer: Part) -> dict[str, Any] | None:
    """CPU seconds of both to the same or a better gap.

    Returns:
      `gap`, `ours_s`, `peer_s`, their `ratio`, and `bound`: whether OpenSpiel did not get there and
      the ratio is a lower bound. `None` where either has no iteration or ours did not get there.
    """
    if not peer["curve"]["gap"]:
        return None
    least = max(min(peer["curve"]["gap"]), ZERO)
    gap = least if target is None or target.gap is None else target.gap
    ours_s, peer_s = seconds_to(ours, gap), seconds_to(peer, gap)
    if ours_s is None:
        return None
    bound = peer_s is None
    if bound:
        peer_s = peer["curve"]["cpu_s"][-1]
    ratio = peer_s / ours_s
    return {"gap": gap, "ours_s": ours_s, "peer_s": peer_s, "ratio": ratio, "bound": bound}


def by_name(parts: Sequence[Part]) -> dict[str, dict[str, Part]]:
    """The parts of each game by process, in the order in which they were run."""
    found: dict[str, dict[str, Part]] = {}
    for part in parts:
        found.setdefault(part["request"]["name"], {})[part["request"]["process"]] = part
    return found


def is_refused(part: Part) -> bool:
    """Whether a part ended with the error that its game is known for."""
    case = CASES.get(part["request"]["name"])
    known = case is not None and case.refused is not None
    return known and part["status"] == "failed" and case.refused in (part["error"] or "")


def judge(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """The targets, each with what was measured.

    Returns:
      Per target `game`, `process`, `what`, `wanted`, `measured` (`None`: never) and `met`.
    """
    targets = []
    for name, processes in by_name(parts).items():
        for process, part in processes.items():
            judged = _judge_part(name, process, part)
            targets += [{"game": name, "process": process, **target} for target in judged]
        if name in CASES and "openspiel" in processes:
            targets += _judge_speed(name, processes)
    return targets


def _target(what: str, wanted: str, measured: float | str | None, met: bool) -> dict[str, Any]:
    return {"what": what, "wanted": wanted, "measured": measured, "met": bool(met)}


def _judge_part(name: str, process: str, part: Part) -> list[dict[str, Any]]:
    if part["request"]["side"] != "ours" or is_refused(part):
        return []
    if part["end"] is None or part["status"] == "failed":
        words = part["error"] or part["status"]
        return [_target("runs to its end", "no error", words, False)]
    targets = [] if part["request"].get("remembers") else _judge_check(part)
    if name in ZERO_SUM_CASES:
        return targets + _judge_limits(name, part)
    case, gaps = CASES[name], part["curve"]["gap"]
    if process == "weigh":
        for stone in case.milestones:
            found = milestone(gaps, stone.kind, stone.below)
            what = f"gap below {stone.below:g} {_KINDS[stone.kind]}"
            met = found is not None and abs(found - stone.iteration) <= SLACK
            targets.append(_target(what, f"{stone.iteration} +- {SLACK}", found, met))
        if case.welfare is not None:
            found = (part["welfare"] or {}).get("value")
            met = found is not None and abs(found - case.welfare) <= WELFARE_TOLERANCE
            shown = None if found is None else f"{found:.6g}"
            targets.append(_target("greatest welfare of a CCE", f"{case.welfare:g}", shown, met))
    if process == "drop" and case.share_of_uniform is not None:
        bound = case.share_of_uniform * gaps[0]
        what = f"gap, against {case.share_of_uniform:g} of uniform play's"
        targets.append(_target(what, f"at most {bound:.3g}", min(gaps), min(gaps) <= bound))
    if process == "drop" and case.memory_gib is not None:
        found, bound = part["end"]["peak_gib"], case.memory_gib
        targets.append(_target("peak memory, GiB", f"at most {bound:g}", found, found <= bound))
    return targets


_KINDS = {"first": "first at iteration", "from": "from iteration"}


def _judge_check(part: Part) -> list[dict[str, Any]]:
    """OpenSpiel's measurement of where ours ended."""
    check = part["check"]
    if check is None:
        return [_target("final values by OpenSpiel, difference", "agree", "out of time", False)]
    if check["method"] == "pyspiel.nash_conv":
        difference = abs(check["gap"] - part["end"]["gap"])
        agrees = difference <= CHECK_TOLERANCE
    else:
        difference, agrees = check["difference"], check["agrees"]
    return [_target("final values by OpenSpiel, difference", "agree", difference, agrees)]


def _judge_limits(name: str, part: Part) -> list[dict[str, Any]]:
    targets = []
    for gap, limit_s in ZERO_SUM_CASES[name].limits:
        found = seconds_to(part, gap)
        met = found is not None and found <= limit_s
        what = f"CPU seconds to NashConv {gap:g}"
        targets.append(_target(what, f"at most {limit_s:g}", found, met))
    return targets


def _judge_speed(name: str, processes: Mapping[str, Part]) -> list[dict[str, Any]]:
    target = CASES[name].speed
    if target is None or "drop" not in processes:
        return []
    found = speed(target, processes["drop"], processes["openspiel"])
    measured = None if found is None else _at_least(found)
    met = found is not None and found["ratio"] >= target.ratio
    goal = "the least gap of OpenSpiel's" if target.gap is None else f"gap {target.gap:g}"
    row = _target(f"speed-up over OpenSpiel to {goal}", f"{target.ratio:g}x", measured, met)
    return [{"game": name, "process": "drop", **row}]


def _at_least(found: Mapping[str, Any]) -> float | str:
    """The ratio; in words where OpenSpiel's time was over before it got there."""
    return f"over {found['ratio']:.3g}" if found["bound"] else found["ratio"]
