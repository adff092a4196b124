"""A real browser for pages, where there is one."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

needs_browser = pytest.mark.skipif(BROWSER is None, reason="no headless Chromium is installed")


def dom_and_complaints(path: Path, *arguments: str) -> tuple[str, str]:
    """The page after its scripts have run, and what the browser complained about."""
    # A browser of the superuser, as in a container, has no sandbox of its own.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [
            BROWSER,
            "--headless",
            "--disable-gpu",
            f"--user-data-dir={path.parent / 'profile'}",
            "--enable-logging=stderr",
            *sandbox,
            *arguments,
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def with_script(page: str, script: str) -> str:
    """The page with a script of a test's; only then may it run: the policy is taken out."""
    return page.replace("Content-Security-Policy", "none").replace(
        "</body>", f"<script>{script}</script></body>"
    )
