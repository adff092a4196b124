"""What the benchmarks share: their options, the lines of a report, and how it is written."""

import argparse
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def parse_options(
    name: str,
    *,
    description: str,
    quick: str,
    seeds: str,
    default_seeds: int,
    parts: Sequence[str] = (),
    data: bool = False,
    population: str | None = None,
    teachers: bool = False,
) -> argparse.Namespace:
    """Reads the command line; ends with code 2 where it cannot be followed.

    Args:
      name: the benchmark's, in the names of its files.
      description: its documentation.
      quick: what `--quick` leaves out.
      seeds: what `--seeds` counts.
      default_seeds: how many by default.
      parts: names for `--only` and `--runs`, of a benchmark whose parts may be measured one by one;
        without them there are no such options.
      data: whether it measures on real evaluations, which `--data` tells where to find.
      population: what `POPULATION`, a path that must be given, is to be; `None` for no such option.
      teachers: whether two more paths may be given, of policies to compare with as one.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    if population is not None:
        parser.add_argument("population", type=Path, help=population)
    if teachers:
        parser.add_argument(
            "--teachers", type=Path, nargs=2, metavar=("GET_UP", "PLAY"), default=(),
            help="runs or populations that taught it",
        )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help=f"under 50 s: {quick}")
    parser.add_argument("--seeds", type=int, default=default_seeds, help=seeds)
    add_report_options(parser, name)
    if parts:
        parser.add_argument("--only", choices=parts, help="measure one part")
        parser.add_argument(
            "--runs", type=Path, help="folder that keeps parts: those there are not measured again"
        )
    if data:
        parser.add_argument(
            "--data",
            type=Path,
            help="folder of real evaluations; by default `shared/data` beside the repository",
        )
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds is {options.seeds}, expected at least 1")
    return options


def row(
    name: str,
    ours: float,
    peer: float | None,
    *,
    peer_name: str | None,
    unit: str,
    target: float | None = None,
    more_is_better: bool = False,
    **figures: float | None,
) -> dict[str, Any]:
    """One line of a report; a `ratio` above 1 means that ours is better, `None` that no peer is.

    Args:
      name: what was measured.
      ours: our figure, in `unit`.
      peer: the peer's, or `None` where there is none or it failed.
      peer_name: who that is.
      unit: of both figures.
      target: the ratio asked for.
      more_is_better: of rates; less is better of times and errors.
      figures: what else belongs to the line.
    """
    ratio = None
    if peer is not None:
        better, worse = (ours, peer) if more_is_better else (peer, ours)
        ratio = better / worse if worse else None
    line = {"name": name, "ours": ours, "peer": peer, "peer_name": peer_name, "unit": unit}
    return {**line, "ratio": ratio, "target": target, **figures}


def add_report_options(parser: argparse.ArgumentParser, name: str) -> None:
    """Options of `finish`: where the report goes, and what is said on top."""
    parser.add_argument("--out", type=Path, help=f"folder for {name}.json and {name}.md")
    parser.add_argument(
        "--json", action="store_true", help="print the report as JSON instead of a table"
    )
    parser.add_argument("--note", default="", help="a remark on the circumstances, for the page")


def finish(
    name: str,
    options: argparse.Namespace,
    rows: Sequence[Mapping[str, Any]],
    *,
    title: str,
    about: str,
    packages: Sequence[str],
    page: str | None = None,
    **more: Any,
) -> None:
    """Prints the report, and writes it where `--out` says.

    Args:
      name: of the benchmark.
      options: of `parse_options`.
      rows: lines of `row`.
      title: heading of the page.
      about: what was measured, and how.
      packages: distributions whose versions matter.
      page: the name of its files; by default that of the benchmark.
      more: further parts of the JSON object; lists of flat mappings become tables of the page.
    """
    report = {
        "rows": list(rows),
        **more,
        "versions": {"python": platform.python_version(), **_versions(packages)},
        "machine": {"processor": _processor(), "cores": os.cpu_count()},
        **({"note": options.note} if options.note else {}),
    }
    page = page or name
    table = _table(rows, ("name", "unit", "ours", "peer_name", "peer", "ratio", "target"))
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"{page}.json").write_text(json.dumps(report, indent=1) + "\n")
        versions = ", ".join(f"{package} {v}" for package, v in report["versions"].items() if v)
        command = f"python scripts/{name}.py" + (" --quick" if options.quick else "")
        machine = f"{report['machine']['cores']} cores of {report['machine']['processor']}"
        parts = [
            f"# {title}",
            f"Written by `{command} --seeds {options.seeds}` on {machine}; {versions}.",
            *([options.note] if options.note else []),
            about.strip(),
            table,
            *(_table(part, tuple(part[0])) for part in more.values() if part),
        ]
        (options.out / f"{page}.md").write_text("\n\n".join(parts) + "\n")
    print(json.dumps(report) if options.json else table)


def _table(rows: Sequence[Mapping[str, Any]], leading: Sequence[str]) -> str:
    extra = [key for line in rows for key in line if key not in leading]
    keys = [*leading, *dict.fromkeys(extra)]
    lines = [[key.replace("_", " ") for key in keys], ["---"] * len(keys)]
    lines += [[_text(line.get(key)) for key in keys] for line in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"
    return str(value)


def _versions(packages: Sequence[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
