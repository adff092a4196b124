"""Measures the time that populations take to a NashConv, beside OpenSpiel's PSRO v2 and CFR+.

OpenSpiel's PSRO learns its responses (policy gradient) or computes them (exact responses, on
Leduc poker). Ours are sampled runs of the PPO presets, exact PSRO, and the exact preset of Leduc
poker. Every part is a process of its own, on one thread; `--parts` keeps them, so that a long
report can be continued, or its parts repeated once their files are deleted.
"""

import argparse
import collections
import fnmatch
import statistics
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import bench_report
from population_parts import (
    CFR_UNTIL,
    EXACT_UNTIL,
    GAMES,
    QUICK_CFR_UNTIL,
    QUICK_UNTIL,
    Part,
    Request,
    finished,
    requests_of,
    run_part,
)

UNIT = "CPU-seconds"
MUST_LEARNED, MUST_EXACT, MUST_NEUPL = 5.0, 100.0, 2.0
# A peer has reached its best where it is within this share of it.
AS_GOOD = 1e-3
PACKAGES = (
    "open_spiel", "numpy", "jax", "numba", "cvxpy", "ecos", "dm-haiku", "rlax", "flax",
)  # fmt: skip

ABOUT = """
Seconds are CPU seconds of one thread, as if a core were free: medians of all runs, the least and
the greatest beside. They count, for OpenSpiel, from when its libraries are loaded, without what
measuring its populations takes; for ours, from the start of the process where nothing else is
said, compilation included. NashConv is exact, in game points, of the mixture of each seat's
strategies by its own meta-strategy. OpenSpiel's is computed on our tree and, at the end of a run,
by OpenSpiel's aggregator and `pyspiel.nash_conv`.

**Learned responses.** OpenSpiel's PSRO v2 runs for {limit:g} CPU seconds. It is compared by the
best NashConv that it shows in this time, and by the second at which it first comes within 0.1 % of
it, both medians over runs; an iteration that the limit cuts off does not count. `example` are the
defaults of its example program for the oracle asked for (alpharank, 10,000 episodes a response,
1,000 a payoff, 4 layers of 256). `small` are Nash meta-strategies, 1,000 episodes a response, 100
a payoff, 2 layers of 64 and, since the example's rate teaches little in so few episodes, a policy
learning rate of 1e-2 instead of 1e-3. Ours, `population that is kept`: the first time at which the
population that the run would have kept, chosen by sampled figures alone, had at most that NashConv;
the exact figures were computed when the run was over. `whole command`: all of `neupl train`, start,
certificate and the processes that it starts included, where what it certified has at most that
NashConv.

**Exact responses.** To NashConv {until:g} of Leduc poker. OpenSpiel's `BestResponseOracle` with
the example's 1,000 episodes a payoff; ours are exact PSRO (`solvers.jpsro` with Nash
meta-strategies, from the name of the game) and the preset `leduc_poker.yaml`, stopped there. CFR+
is the anchor: in games as small as these, populations are not the way to a small NashConv.

**What was done about OpenSpiel's programs.** Its linear-program routine catches the error of ECOS
and goes on with `None`; the meta-strategy is then ours (column `unsolved`: how often). Runs of one
seed differ, since Python's own generator draws the episodes of its payoffs.

**Runs.** {runs}
"""


def first_time(part: Part, nash_conv: float, *, clock: str = "cpu_s") -> float | None:
    """When a part first had at most that NashConv; `None` if never."""
    for point in part["lines"].get("point", ()):
        if point["nash_conv"] <= nash_conv:
            return point[clock]
    return None


def best_of(part: Part) -> float:
    """The least NashConv that a part had."""
    return min(point["nash_conv"] for point in part["lines"]["point"])


def time_of_best(part: Part, *, clock: str = "cpu_s") -> float:
    """When a part first came as near to its best as makes no difference."""
    return first_time(part, best_of(part) * (1 + AS_GOOD), clock=clock)


def spread(values: Sequence[float | None]) -> tuple[float | None, float | None, float | None]:
    """Median, least and greatest; `None` for what is not known because a run never came there."""
    if not values or all(value is None for value in values):
        return None, None, None
    known = [float("inf") if value is None else value for value in values]
    found = statistics.median(known), min(known), max(known)
    return tuple(None if value == float("inf") else value for value in found)


def line(
    name: str,
    ours: Sequence[float | None],
    peer: Sequence[float | None],
    *,
    peer_name: str | None,
    target: float | None = None,
    nash_conv: float | None = None,
    **figures: float | None,
) -> dict[str, Any]:
    """A row of medians with their ranges, and of how many runs."""
    our_median, our_least, our_greatest = spread(ours)
    peer_median, peer_least, peer_greatest = spread(peer)
    return bench_report.row(
        name,
        our_median,
        peer_median,
        peer_name=peer_name,
        unit=UNIT,
        target=target,
        nash_conv=nash_conv,
        ours_least=our_least,
        ours_greatest=our_greatest,
        peer_least=peer_least,
        peer_greatest=peer_greatest,
        ours_runs=len(ours),
        peer_runs=len(peer),
        **figures,
    )


def learned_rows(game: str, by_who: Mapping[str, Sequence[Part]]) -> list[dict[str, Any]]:
    """Sampled runs against PSRO with learned responses, for one game."""
    rows = []
    # Runs that ended before their first population have nothing to be compared by.
    peers = {
        who: measured
        for who, parts in by_who.items()
        if who.startswith("openspiel_pg_")
        and (measured := [part for part in parts if part["lines"].get("point")])
    }
    runs = by_who.get("ours_ppo", ())
    commands = by_who.get("ours_ppo_command", ())
    for who, parts in peers.items():
        settings = who.removeprefix("openspiel_pg_")
        threshold = statistics.median(map(best_of, parts))
        what = f"{game}_to_the_best_of_pg_{settings}"
        common = {
            "peer_name": f"OpenSpiel PSRO v2, policy gradient, {settings} settings",
            "nash_conv": threshold,
        }
        times = [time_of_best(part) for part in parts]
        if runs:
            reached = [first_time(part, threshold) for part in runs]
            training = [_without_compilation(*pair) for pair in zip(runs, reached, strict=True)]
            kept = f"{what}, population that is kept"
            rows += [
                line(kept, reached, times, target=MUST_LEARNED, **common),
                line(f"{kept}, without start and compilation", training, times, **common),
            ]
        if commands:
            reached = [
                part["cpu_s"] if part["lines"]["end"][0]["value"] <= threshold else None
                for part in commands
            ]
            rows.append(line(f"{what}, whole command", reached, times, **common))
    if peers and runs:
        everyone = [part for parts in peers.values() for part in parts]
        best = min(everyone, key=best_of)
        rows.append(
            line(
                f"{game}_to_the_best_of_all, population that is kept",
                [first_time(part, best_of(best)) for part in runs],
                [time_of_best(best)],
                peer_name=f"OpenSpiel PSRO v2, best of {len(everyone)} runs: {best['who'][10:]}",
                nash_conv=best_of(best),
                target=MUST_LEARNED,
            )
        )
    return rows


def exact_rows(
    game: str, by_who: Mapping[str, Sequence[Part]], *, until: float
) -> list[dict[str, Any]]:
    """Exact PSRO and the exact learner against PSRO with exact responses, for one game."""
    rows = []
    grown, trained = by_who.get("ours_psro", ()), by_who.get("ours_exact", ())
    for meta in ("nash", "uniform"):
        parts = by_who.get(f"openspiel_br_{meta}", ())
        if not parts:
            continue
        common = {"peer_name": f"OpenSpiel PSRO v2, exact responses, {meta}", "nash_conv": until}
        times = [first_time(part, until) for part in parts]
        whole = [
            None if taken is None else taken + part["lines"]["start"][0]["cpu_s"]
            for taken, part in zip(times, parts, strict=True)
        ]
        what = f"{game}_to_{until:g}_beside_{meta}"
        if grown:
            points = [part["lines"]["point"] for part in grown]
            loaded = [point["solver_s"] for own in points for point in own[1:]]
            rows += [
                line(f"{what}, psro, code loaded", loaded, times, target=MUST_EXACT, **common),
                line(
                    f"{what}, psro, whole process", [p[0]["cpu_s"] for p in points], whole, **common
                ),
            ]
        if trained:
            reached = [first_time(part, until) for part in trained]
            training = [_without_compilation(*pair) for pair in zip(trained, reached, strict=True)]
            rows += [
                line(f"{what}, neupl, whole process", reached, whole, target=MUST_NEUPL, **common),
                line(f"{what}, neupl, without start and compilation", training, times, **common),
            ]
    return rows


def _without_compilation(part: Part, taken: float | None) -> float | None:
    """Seconds of training alone, the steps up to the first evaluation counted like later ones."""
    if taken is None:
        return None
    end = part["lines"]["end"][0]
    return taken - end["first_cpu_s"] + (end["usual_cpu_s"] or 0.0)


def anchor_rows(
    game: str, by_who: Mapping[str, Sequence[Part]], *, until: float
) -> list[dict[str, Any]]:
    """CFR+ on the same game."""
    parts = by_who.get("cfr+", ())
    if not parts:
        return []
    ours, theirs = (
        [p["solver_s"] for part in parts for p in part["lines"]["point"] if p["side"] == side]
        for side in ("ours", "openspiel")
    )
    name = f"{game}_to_{until:g}, cfr+, code loaded"
    return [line(name, ours, theirs, peer_name="OpenSpiel CFRPlusSolver (C++)", nash_conv=until)]


def table_of_runs(parts: Iterable[Part]) -> list[dict[str, Any]]:
    """What every run came to."""
    table = []
    for part in parts:
        points, end = part["lines"].get("point", []), part["lines"]["end"][0]
        entry = {"game": part["game"], "who": part["who"], "run": part["run"]}
        if part["request"]["program"] == "neupl":
            entry |= {"best_nash_conv": end["value"], "last_nash_conv": end["value"]}
        elif points and {"wall_s", "attempt"} & points[0].keys() == {"wall_s"}:
            entry |= {
                "best_nash_conv": best_of(part),
                "at_cpu_s": time_of_best(part),
                "at_wall_s": time_of_best(part, clock="wall_s"),
                "last_nash_conv": points[-1]["nash_conv"],
                "evaluations": len(points),
            }
        entry |= {"process_cpu_s": part["cpu_s"], "process_wall_s": part["wall_s"]}
        if "unsolved_programs" in end:
            # NumPy makes errors of its own out of being stopped inside of a conversion.
            stopped = end["cpu_s"] >= part["request"]["limit_s"]
            entry |= {
                "unsolved": end["unsolved_programs"],
                "ended_by": "limit" if stopped else end["reason"],
            }
            check = end["check"]
            entry["openspiel_agrees"] = None if check is None else str(check["agrees"]).lower()
        table.append(entry)
    # A table has the columns of its first row.
    keys = dict.fromkeys(key for entry in table for key in entry)
    return [{key: entry.get(key) for key in keys} for entry in table]


def runs_text(requests: Sequence[Request], parts: Sequence[Part]) -> str:
    """Says of which parts there are fewer runs than were asked for."""
    asked, done = (
        collections.Counter(names)
        for names in (
            [f"{request.game}-{request.who}" for request in requests],
            [f"{part['game']}-{part['who']}" for part in parts],
        )
    )
    fewer = [
        f"`{name}` ({done[name]} of {number})"
        for name, number in asked.items()
        if done[name] < number
    ]
    if not fewer:
        return "All runs that were asked for are here."
    return f"Fewer than were asked for, or none: {', '.join(fewer)}. All others are here."


def measure(parts: Sequence[Part], *, quick: bool) -> list[dict[str, Any]]:
    """The rows of whatever parts there are."""
    rows = []
    until = (QUICK_UNTIL, QUICK_CFR_UNTIL) if quick else (EXACT_UNTIL, CFR_UNTIL)
    for game in GAMES:
        by_who: dict[str, list[Part]] = {}
        for part in parts:
            if part["game"] == game:
                by_who.setdefault(part["who"], []).append(part)
        rows += learned_rows(game, by_who)
        rows += exact_rows(game, by_who, until=until[0])
        rows += anchor_rows(game, by_who, until=until[1])
    # Targets are not about tiny networks and easy goals.
    return [row | {"target": None} for row in rows] if quick else rows


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line; ends with code 2 where it cannot be followed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="under 50 s: one run each, tiny networks, easy goals"
    )
    parser.add_argument("--seeds", type=int, default=3, help="runs of every part")
    bench_report.add_report_options(parser, "bench_population")
    parser.add_argument(
        "--limit-s", type=float, default=600.0, help="CPU seconds for a run of OpenSpiel's PSRO"
    )
    parser.add_argument(
        "--parts",
        type=Path,
        help="keep the results of parts here; those that are there are not repeated",
    )
    parser.add_argument(
        "--only",
        nargs="*",
        default=["*"],
        metavar="PATTERN",
        help="run parts with such names alone (GAME-WHO-RUN, as in --parts), none without a "
        "pattern;\nall parts that are finished are reported",
    )
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds is {options.seeds}, expected at least 1")
    if not options.limit_s > 0:
        parser.error(f"--limit-s is {options.limit_s:g}, expected a positive number of seconds")
    requests = requests_of(
        runs=1 if options.quick else options.seeds, limit_s=1, quick=options.quick
    )
    for pattern in options.only:
        if not fnmatch.filter([r.name for r in requests], pattern):
            known = ", ".join(dict.fromkeys(f"{r.game}-{r.who}" for r in requests))
            parser.error(f"--only {pattern!r} matches no part; there are {known}, each with -RUN")
    return options


def main() -> int:
    """Runs what is asked for, and reports on all parts that there are."""
    options = parse_options()
    runs = 1 if options.quick else options.seeds
    requests = requests_of(runs=runs, limit_s=options.limit_s, quick=options.quick)
    with tempfile.TemporaryDirectory(prefix="neupl-") as temporary:
        folder = (options.parts or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for request in requests:
            if any(fnmatch.fnmatch(request.name, pattern) for pattern in options.only):
                run_part(request, folder)
        parts = finished(requests, folder)
    bench_report.finish(
        "bench_population",
        options,
        measure(parts, quick=options.quick),
        title="Populations beside OpenSpiel's PSRO",
        about=ABOUT.format(
            limit=options.limit_s, until=EXACT_UNTIL, runs=runs_text(requests, parts)
        ),
        packages=PACKAGES,
        runs=table_of_runs(parts),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
