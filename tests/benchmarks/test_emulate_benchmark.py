"""The benchmark of emulators: its parts are those of a step, and it runs."""

import json
from collections import Counter

import jax
import jax.numpy as jnp
import pytest

from neurodyn.benchmarks.emulate import BASELINE, _products
from neurodyn.benchmarks.products import products_in
from neurodyn.cli.main import main
from neurodyn.emulation import EmulationConfig, NetworkConfig
from neurodyn.emulation.network import initial_parameters, run_outputs
from neurodyn.kernels import recurrence


def test_products_are_those_of_a_network_and_its_gradient(monkeypatch):
    monkeypatch.setattr(recurrence, "MANY", 5)
    config = EmulationConfig(NetworkConfig(hidden=11, inputs=7))
    parameters, steps = initial_parameters(config.network, 3, jax.random.key(0)), 6

    def scored(parameters, inputs):
        return jnp.sum(run_outputs(config.network, parameters, inputs) ** 2)

    traced = products_in(jax.make_jaxpr(jax.grad(scored))(parameters, jnp.ones((steps, 5, 7))).jaxpr)
    expected = _products(5, steps, 3, config)
    # What is made once is left out: derivatives along the state at the start and along the inputs.
    assert by_size({p: often // steps * steps for p, often in traced.items()}) == by_size(expected)


def by_size(products):
    sizes = Counter()
    for product, often in products.items():
        sizes[product.flops] += often
    return +sizes


def test_it_runs(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("geomloss")
    sizes = ["--batches", "16", "--steps", "4", "--hidden", "5", "--inputs", "3", "--repeats", "1", "--trials", "8"]
    assert main(["bench", "emulate", *sizes, "--json", str(tmp_path / "found.json")]) == 0
    rows = {row["name"]: row for row in json.loads((tmp_path / "found.json").read_text())["measurements"]}
    assert rows["training step"]["ratio"] == pytest.approx(rows[BASELINE]["seconds"] / rows["training step"]["seconds"])
    assert {"products of the network alone", "noise alone", "divergence alone", "generation"} < set(rows)
