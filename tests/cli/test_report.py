"""`neupl report`: every number of the page is recomputed from the run folder's files."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from games.registry import load_tree
from solvers.gaps import gains
from solvers.sequence_form import mix
from solvers.values import payoffs
from tests.evaluation.browser import accessibility_faults, dom_and_complaints, needs_browser

SETTINGS = (
    "training.steps=60",
    "training.max_steps_per_row=20",
    "population.size=3",
    "network.hidden_sizes=[8]",
)


@pytest.fixture(scope="module")
def trained(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "<run>&"
    settings = [f"--set={setting}" for setting in SETTINGS]
    done = tiny.forked("train", "--game", "kuhn_poker", "--out", path, "--quiet", *settings)
    assert done.returncode == 0, done.stderr
    return path


def data_of(page: Path) -> dict:
    text = page.read_text()
    (found,) = re.findall(r'<script type="application/json" id="page-data">(.*?)</script>', text)
    return json.loads(found)


def test_numbers_of_the_page_follow_from_the_folder(trained):
    data = data_of(trained / "report" / "index.html")
    (run,) = data["runs"]
    arrays = load_file(trained / "population" / "arrays.safetensors")
    manifest = json.loads((trained / "population" / "population.json").read_text())
    K = manifest["num_admitted"]
    tree = load_tree("kuhn_poker")
    tables = arrays["policies"][:K].astype(np.float64)
    tables /= tables.sum(axis=-1, keepdims=True)
    mixture = arrays["meta_strategy"][:, :K].astype(np.float64)

    # The certificate: gains of best responses to the mixture, on the tree.
    certificate = run["certificate"]
    assert certificate == json.loads((trained / "certificate.json").read_text())["certificate"]
    own = gains(tree, mix(tree, tables, mixture / mixture.sum(axis=1, keepdims=True)))
    np.testing.assert_allclose(certificate["per_player"], own, atol=1e-6)
    assert certificate["value"] == pytest.approx(sum(certificate["per_player"]))

    np.testing.assert_allclose(run["payoffs"], payoffs(tree, tables), atol=1e-6)
    np.testing.assert_allclose(run["mixtures"], mixture)
    np.testing.assert_allclose(run["graphs"][0]["rows"], arrays["joint"][0, :K, :K])

    # The graph over the steps: as logged, row by row, and at the exported step that of the export.
    logged = [json.loads(line) for line in (trained / "graph.jsonl").read_text().splitlines()]
    assert [moment["step"] for moment in run["history"]] == [line["step"] for line in logged]
    assert logged[0]["step"] == 0 and len(logged) >= K - 1
    for moment, line in zip(run["history"], logged, strict=True):
        for graph, said in zip(moment["graphs"], line["graphs"], strict=True):
            assert (graph["player"], graph["coplayer"]) == (said["player"], said["coplayer"])
            pairs = [[[j, v] for j, v in enumerate(row) if v] for row in graph["rows"]]
            assert pairs == said["rows"]
    (now,) = [m for m in run["history"] if m["step"] < manifest["step"]][-1:]
    exported = np.array([graph["rows"] for graph in now["graphs"]])[0]
    np.testing.assert_allclose(exported[:K, :K], arrays["joint"][0, :K, :K], atol=1e-6)

    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    gap = run["gaps"][0]
    assert gap["steps"] == [line["step"] for line in lines]
    assert gap["seconds"] == [line["time/elapsed_s"] for line in lines]
    assert gap["values"] == [line["eval/nash_conv"] for line in lines]
    titles = {track["title"]: track for track in run["tracks"]}
    assert titles["distinct strategies"]["values"] == [
        line["population/effective_size"] for line in lines
    ]

    drift = next(track for title, track in titles.items() if title.startswith("drift: largest ch"))
    assert drift["values"] == [line["drift/payoff"] for line in lines]
    assert 0 <= max(drift["values"]) <= tree.payoff_range

    # Sizes: the exponential of the entropy, and the Hodge decomposition from its definition.
    positive = mixture[0][mixture[0] > 0]
    sizes = run["sizes"]
    assert sizes["strategies of seat 0"] == K
    assert sizes["strategies that seat 0 mixes (exponential of the entropy)"] == pytest.approx(
        np.prod(positive**-positive)
    )
    table = np.array(run["payoffs"])
    both = (table[..., 0] + table[..., 1].T) / 2
    mean = both.mean(axis=1)
    explained = sum((mean[i] - mean[j]) ** 2 for i in range(K) for j in range(K))
    assert run["transitive"] == pytest.approx(explained / np.sum(both**2), abs=1e-6)
    assert run["transitive"] + run["cyclic"] == pytest.approx(1)

    # A sample game of every strategy, to its end.
    assert len(data["replays"]) == K
    assert all(sum(replay["frames"][-1]["r"]) == 0 for replay in data["replays"])


def test_runs_side_by_side_and_against_each_other(tiny, trained, tmp_path):
    solved, page = tmp_path / "solved", tmp_path / "both.html"
    arguments = ("--method", "cfr+", "--iterations", "30", "--out", solved, "--quiet")
    assert tiny.forked("solve", "kuhn_poker", *arguments).returncode == 0
    done = tiny.forked("report", trained, solved, "--out", page, "--games", "0", "--json")
    assert done.returncode == 0, done.stderr
    assert [run["name"] for run in json.loads(done.stdout)["runs"]] == ["<run>&", "solved"]
    data = data_of(page)
    (one,) = data["relative_performance"]
    # Near an equilibrium nobody earns more than the value of the game, which seats average to 0.
    assert one["first"] == "<run>&" and -1 < one["value"] < 0.05
    assert data["replays"] == []
    assert "<run>&" not in page.read_text().split('id="page-data"')[0]


def test_an_unfinished_run_has_a_page_and_a_broken_one_an_error(tiny, trained, tmp_path):
    path = shutil.copytree(trained, tmp_path / "unfinished")
    shutil.rmtree(path / "population")
    (path / "certificate.json").unlink()
    assert tiny.forked("report", path).returncode == 0
    assert data_of(path / "report" / "index.html")["runs"][0]["certificate"] is None

    (path / "metrics.jsonl").write_text("nonsense\n")
    done = tiny.forked("report", path)
    assert done.returncode == 2 and "line 1 is not a metric line" in done.stderr
    (path / "metrics.jsonl").unlink()
    (path / "graph.jsonl").write_text('{"step": 0, "graphs": [{"player": 0}]}\n')
    done = tiny.forked("report", path)
    assert done.returncode == 2 and "line 1 is no interaction graph" in done.stderr
    done = tiny.forked("report", tmp_path / "nowhere")
    assert done.returncode == 2 and "there is no run" in done.stderr


@needs_browser
def test_the_page_runs_without_complaints(trained, tmp_path):
    page = tmp_path / "page.html"
    page.write_text((trained / "report" / "index.html").read_text())
    dom, complaints = dom_and_complaints(page)
    assert complaints == ""
    assert "0 / " in dom and dom.count("<svg") >= 3
    assert accessibility_faults(page.read_text(), tmp_path) == []
