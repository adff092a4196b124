"""Exporting replaces a population as a whole, spares everything else, and writes the model card."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from neupl.errors import UserError
from neupl.population_files import ARRAYS_FILE, MANIFEST_FILE, MODEL_CARD_FILE
from neupl.stored_population import load_population

FILES = {MODEL_CARD_FILE, MANIFEST_FILE, ARRAYS_FILE}


def names_in(folder):
    return {path.name for path in folder.iterdir()}


def test_model_card_says_what_was_certified(kuhn_run, kuhn_folder):
    card, best = (kuhn_folder / MODEL_CARD_FILE).read_text(), kuhn_run.states[-1].best
    assert f"{best.gains.sum():.6g} game points, exact" in card
    for gain in best.gains:
        assert f"{gain:.6g}" in card
    for row in best.meta_strategy:
        assert " | ".join(f"{share:.4f}" for share in row[: best.num_admitted]) in card
    assert "`kuhn_poker`, 2 players, zero-sum, 12 information states" in card
    num_parameters = sum(
        array.size
        for name, array in load_file(kuhn_folder / ARRAYS_FILE).items()
        if name.startswith("network/")
    )
    assert f"{num_parameters:,} parameters" in card
    assert f"{int(best.step)} of 800 gradient steps" in card


def test_manifest_and_tables_can_be_read_without_the_program(kuhn_run, kuhn_folder):
    manifest = json.loads((kuhn_folder / MANIFEST_FILE).read_text())
    best, tree = kuhn_run.states[-1].best, kuhn_run.problem.tables.tree
    assert sum(manifest["gains"]) == pytest.approx(best.gains.sum(), abs=1e-15)
    assert manifest["information_states"] == list(tree.infoset_name)
    assert manifest["num_admitted"] == best.num_admitted
    policies = load_file(kuhn_folder / ARRAYS_FILE)["policies"]
    assert policies.shape == (5, tree.num_infosets, 2)
    np.testing.assert_allclose(policies.sum(axis=-1), 1, atol=1e-6)
    assert names_in(kuhn_folder) == FILES


def test_second_export_replaces_the_first(kuhn_run, three_player_run, export_run, tmp_path):
    folder = tmp_path / "population"
    export_run(three_player_run, folder)
    (folder / "leftover").touch()
    export_run(kuhn_run, folder)
    assert load_population(folder).game == "kuhn_poker"
    assert names_in(folder) == FILES
    assert names_in(tmp_path) == {"population"}


def test_failed_export_leaves_the_old_population(kuhn_run, export_run, tmp_path):
    """It stops between the arrays and the model card, which needs a mixture per seat."""
    folder = tmp_path / "population"
    export_run(kuhn_run, folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    last = kuhn_run.states[-1]
    unusable = last._replace(best=last.best._replace(meta_strategy=np.zeros(2)))
    with pytest.raises(IndexError):
        export_run(kuhn_run._replace(states=[unusable]), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert names_in(tmp_path) == {"population"}


def test_foreign_folders_and_files_are_spared(kuhn_run, export_run, tmp_path):
    precious = tmp_path / "thesis" / "chapter.txt"
    precious.parent.mkdir()
    precious.write_text("years of work")
    for place in (precious.parent, precious):
        with pytest.raises(UserError, match="is not empty and not a population"):
            export_run(kuhn_run, place)
    assert precious.read_text() == "years of work"
    empty = tmp_path / "empty"
    empty.mkdir()
    export_run(kuhn_run, empty)
    assert names_in(empty) == FILES
