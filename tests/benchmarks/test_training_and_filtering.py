"""The benchmarks of training, filtering and smoothing run at tiny sizes, and say what they compare with."""

import argparse
import json
import re
from collections import Counter

import pytest

from neurodyn.benchmarks import filtering, training
from neurodyn.benchmarks.products import Product, matrices, products_in, time_products
from neurodyn.benchmarks.timing import Measurement, Report, machine
from neurodyn.cli.bench import BENCHMARKS, report_table, save_growth, targets_table
from neurodyn.errors import InputError
from neurodyn.plotting.benchmarks import growing_sizes, plot_growth


def run(module, words: str, name: str):
    parser = argparse.ArgumentParser()
    module.add_options(parser)
    parser.set_defaults(name=name)
    return module.run(parser.parse_args(words.split()))


@pytest.fixture
def single_precision(float32):
    import jax

    jax.config.update("jax_numpy_dtype_promotion", "standard")
    yield
    jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.mark.slow
def test_a_training_step_is_measured_next_to_its_products_and_a_loop(float32):
    report = run(training, "--sizes 3x6 --trials 2 --repeats 2 --no-growth --no-start", "train")
    rows = {row.name: row for row in report.measurements}
    assert list(rows) == [training.SHARED, training.PER_TRIAL, training.LOOP, training.PRODUCTS, training.NETWORKS]
    assert all(row.seconds > 0 for row in rows.values())
    for name in (training.PRODUCTS, training.NETWORKS):
        times = rows[training.SHARED].seconds / rows[name].seconds
        assert rows[training.SHARED].notes[f"times the {name}"] == pytest.approx(times)
    assert rows[training.PER_TRIAL].ratio == pytest.approx(
        rows[training.LOOP].seconds / rows[training.PER_TRIAL].seconds
    )
    assert len(report.targets) == 1
    json.dumps(report.to_json())
    assert report_table(report).row_count == 5
    assert targets_table(report).row_count == 1


def test_the_products_are_those_of_the_networks():
    sizes = training.Sizes(latent=4, bins=5, trials=2, channels=3)
    products = training.products_of_networks(sizes)
    flops = sum(rows * inner * columns * often for (rows, inner, columns), often in products.items())
    wide = 128 * 128
    forwards = 10 * 2 * (3 * 128 + 2 * wide + 128 * 4)  # encoders
    forwards += 10 * (8 * 128 + 128 * 4)  # fusion
    forwards += 5 * 10 * 2 * (4 * 128 + 2 * wide + 128 * 3)  # decoders at five horizons
    forwards += (2 + 4 + 5) * 10 * 16  # emissions, and moves to the horizons
    assert flops == 3 * forwards - 2 * 10 * 3 * 128
    assert isinstance(products, Counter)


def test_products_are_counted_as_often_as_they_are_made():
    import jax
    import jax.numpy as jnp
    from jax import lax

    def function(x, y):
        state = lax.scan(lambda s, _: (s @ y, None), x, None, length=5)[0]
        state = lax.cond(state[0, 0] > 0, lambda s: s @ y @ y, lambda s: s @ y, state)
        return jax.jit(lambda s: jnp.einsum("bij,bjk->bik", s, s))(jnp.stack([state, state]))

    found = products_in(jax.make_jaxpr(function)(jnp.ones((3, 3)), jnp.ones((3, 3))).jaxpr)
    batched = Product((2, 3, 3), (2, 3, 3), (((2,), (1,)), ((0,), (0,))))
    assert found == {matrices(3, 3, 3): 7, batched: 1}
    assert matrices(2, 3, 5).flops == 60
    assert batched.flops == 108


def test_the_step_holds_the_products_of_its_networks_and_those_of_its_recursions(single_precision):
    sizes = training.Sizes(latent=4, bins=5, trials=2, channels=3)
    flops = sum(often * product.flops for product, often in training.products_of_step(sizes).items())
    networks = sum(2 * r * a * b * often for (r, a, b), often in training.products_of_networks(sizes).items())
    # Derivatives that end nowhere are not computed: the networks' own count is an upper bound of their share.
    assert 0.9 * networks < flops < 2 * networks


def test_small_and_large_products_are_timed():
    small, (low, high) = time_products(Counter({matrices(4, 4, 4): 1}), 3)
    assert 0 < low <= small <= high < 1e-3
    large, _ = time_products(Counter({matrices(400, 400, 400): 2}), 3)
    assert large > small


@pytest.mark.parametrize("name", ["filter", "smooth"])
def test_both_libraries_are_measured(name, single_precision):
    report = run(filtering, "--latent 3 --channels 2 --bins 12 --repeats 2 --no-growth --long 0", name)
    rows = {row.name: row for row in report.measurements}
    assert report.name == name
    ours = rows[filtering.OURS]
    if filtering.DYNAMAX in rows:
        assert ours.ratio == pytest.approx(rows[filtering.DYNAMAX].seconds / ours.seconds)
    assert (filtering.LOOP in rows) == (name == "filter")
    assert len(report.targets) == 1


def test_a_long_recording_says_what_memory_it_took():
    found = filtering.long_recording(filtering.Sizes(latent=3, channels=2, bins=1200), smooth=True)
    assert found.seconds > 0
    assert float(found.notes["peak memory, MiB"]) >= float(found.notes["before, MiB"]) > 0


@pytest.mark.parametrize("text", ["32", "32x", "x100", "ax3", "0x10"])
def test_wrong_sizes_are_refused(text):
    with pytest.raises(InputError, match="sizes like 64x100"):
        training.parse_sizes([text])


def test_growth_is_drawn_along_every_size_that_varies(tmp_path):
    rows = [Measurement("a", {"latent": n, "bins": 10}, n**2.0) for n in (2, 4, 8)]
    rows += [Measurement("a", {"latent": 4, "bins": t}, 1.6 * t) for t in (20, 40)]
    rows += [Measurement("b", {"latent": 4, "bins": 10}, 7.0)]
    assert growing_sizes(rows) == ["latent", "bins"]
    from matplotlib.figure import Figure

    ax = plot_growth(rows, along="latent", ax=Figure().add_subplot())
    drawn = {line.get_label(): list(line.get_xdata()) for line in ax.get_lines()}
    assert drawn == {"a": [2, 4, 8], "b": [4]}
    assert ax.get_xscale() == ax.get_yscale() == "log"

    class Found:
        name, measurements = "train", tuple(rows)

    save_growth(Found(), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_every_benchmark_of_ours_is_listed():
    assert {"train", "filter", "smooth"} <= set(BENCHMARKS)


def test_a_report_on_the_disk_has_no_numbers_that_json_does_not_know():
    report = Report("a", (Measurement("b", {"latent": 4}, 1.0, notes={"lost": float("nan")}),), {"cores": 2})
    [row] = json.loads(json.dumps(report.to_json(), allow_nan=False))["measurements"]
    assert row["spread"] == [None, None]
    assert row["ratio"] is None
    assert row["notes"] == {"lost": None}
    assert row["sizes"] == {"latent": 4}


def test_the_machine_tells_the_commit():
    assert re.fullmatch(r"([0-9a-f]{7,40}\+?)?", machine()["commit"])


def test_the_time_to_a_first_step_is_that_of_a_process():
    sizes = training.Sizes(latent=2, bins=4, trials=2, channels=2)
    first, second = training.first_steps(sizes)
    assert min(first.seconds, second.seconds) > 0
    assert second.ratio == pytest.approx(first.seconds / second.seconds)
    assert second.baseline == first.name
