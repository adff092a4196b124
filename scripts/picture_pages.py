"""Pictures of the pages for the documentation, by headless Chromium.

Trains and solves small games, runs a tournament among what came out, and photographs the report,
the tournament, a replay and the table to play at, all as the commands of the README write them.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
GAME = "leduc_poker"


def neupl(*arguments: str | Path, folder: Path) -> None:
    """Runs a command in a folder."""
    command = [sys.executable, "-m", "neupl", *map(str, arguments), "--quiet"]
    subprocess.run(command, cwd=folder, check=True)


def photograph(browser: str, address: str, picture: Path, size: str) -> None:
    """Takes the picture of a page once its scripts have run."""
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                browser,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                f"--user-data-dir={profile}",
                f"--window-size={size}",
                "--virtual-time-budget=2000",
                f"--screenshot={picture.resolve()}",
                address,
            ],
            check=True,
            capture_output=True,
        )


def main() -> None:
    """Makes everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="folder of pictures")
    parser.add_argument("--work", type=Path, help="folder that keeps runs; a temporary one if none")
    options = parser.parse_args()
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        parser.error(f"no browser was found; looked for {', '.join(BROWSERS)}")
    with tempfile.TemporaryDirectory() as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        if not (work / "neupl").exists():
            size = ("--set=training.steps=400", "--set=population.size=6")
            neupl("train", "--game", GAME, "--out", "neupl", *size, folder=work)
        if not (work / "cfr").exists():
            neupl(
                "solve",
                GAME,
                "--method",
                "cfr+",
                "--iterations",
                "100",
                "--out",
                "cfr",
                folder=work,
            )
        neupl(
            "tournament", "neupl#all", "neupl#nash", "cfr", "openspiel:random",
            "openspiel:mcts(simulations=20)", "--game", GAME, "--games", "64", "--replays", "1",
            "--out", "matches", folder=work,
        )  # fmt: skip
        neupl("play", "neupl", "--html", "play.html", folder=work)
        options.out.mkdir(parents=True, exist_ok=True)
        for page, name, size in (
            ("neupl/report/index.html", "page_report", "1200,1500"),
            ("matches/index.html", "page_tournament", "1200,1350"),
            ("matches/replays.html#episode=4&step=7", "page_replay", "1200,820"),
            ("play.html", "page_play", "1200,820"),
        ):
            file, _, place = page.partition("#")
            address = (work / file).as_uri() + (f"#{place}" if place else "")
            photograph(browser, address, options.out / f"{name}.png", size)
            print(options.out / f"{name}.png")


if __name__ == "__main__":
    main()
