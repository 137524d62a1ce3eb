"""The one entry of each network, and what follows from it."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from occ_models.config import NetworkConfig, load_config, save_config, shipped_names
from occ_models.networks import MONOOCC, NETWORKS, OCCLE, saved_config
from occ_models.recipe import NetworkRecipe, load_recipe

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("network", [OCCLE, MONOOCC], ids=lambda network: network.name)
def test_the_papers_networks_ship_their_sizes_and_the_papers_recipe(network):
    assert {"pico", "nano", "small", "base"} <= set(shipped_names(network.config))
    assert any(name.endswith("paper") for name in shipped_names(network.recipe))
    for name in shipped_names(network.recipe):
        assert set(load_recipe(name, network.recipe).phases) <= set(network.recipe.all_phases)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_every_file_that_ships_is_read(network):
    assert "nano" in shipped_names(network.config), "the default of --config"
    for name in shipped_names(network.config):
        assert load_config(name, network.config).name == name
    for name in shipped_names(network.recipe):
        assert isinstance(load_recipe(name, network.recipe), NetworkRecipe)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_every_network_has_what_the_shared_code_reads(network):
    assert isinstance(load_config("nano", network.config), NetworkConfig)
    assert isinstance(network.recipe(), NetworkRecipe)
    assert {"name", "preprocess"} <= {field.name for field in fields(network.config)}  # a YAML file sets them


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_every_setting_of_a_recipe_has_a_help_text(network):
    assert all(
        field.metadata.get("help") for field in fields(network.recipe) if field.name not in ("training", "network")
    )
    assert {f"{phase}_steps" for phase in network.recipe.all_phases} <= {f.name for f in fields(network.recipe)}


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_a_saved_configuration_leads_back_to_its_network(network, tmp_path):
    pytest.importorskip("torch", reason="needs torch (the train extra)")
    config = load_config("nano", network.config)
    save_config(config, tmp_path / "config.yaml")
    assert saved_config(tmp_path / "config.yaml") == (network, config)
    model = network.make_model(config)
    assert model.config == config and model.config.model == network.name


def test_the_entries_are_readable_without_torch():
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('torch', 'lightning', 'safetensors')))\n"
        "from occ_models.networks import NETWORKS\n"
        "assert {'occle', 'monoocc'} <= {network.name for network in NETWORKS}\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
