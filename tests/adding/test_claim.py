"""A claim is added as one file, two imports and a line of its page, and is then examined and drawn with the others."""

import json

import numpy as np
import pytest
from adding.plug_in import add

from experiments.falsifiers.networks import network, random_relu, tanh_step
from neurodyn.cli.explain import verdict_table, write_results
from neurodyn.errors import InputError
from neurodyn.markov import linear_chain
from neurodyn.mechanism import ExplainConfig, RecordConfig, Verdict, explain, quick_config, table
from neurodyn.mechanism.table import CLAIMS

SMALL = RecordConfig(trials=20, steps=50, burn_in=10)


@pytest.fixture(autouse=True)
def added(tmp_path, monkeypatch):
    return add("claim", tmp_path, CLAIMS, vars(table), monkeypatch)


def driven(dimensions, hidden=12):
    """Units that follow noise in so many directions of equal strength, and nothing else."""
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(hidden, hidden)))[0][:, :dimensions]
    weights = {"recurrent": np.zeros((hidden, hidden)), "input": 0.1 * axes, "readout": np.eye(3, hidden)}
    return network(tanh_step, hidden, dimensions, 3, **weights)


@pytest.mark.parametrize(("dimensions", "verdict"), [(2, Verdict.SUPPORTED), (9, Verdict.NOT_SUPPORTED)])
def test_it_is_true_and_false_where_it_should_be(dimensions, verdict):
    found = explain(driven(dimensions), linear_chain(3), config=ExplainConfig(record=SMALL), claims=["dimension"])
    (finding,) = found.findings
    assert finding.verdict is verdict
    assert finding.estimate.value == pytest.approx(dimensions, rel=0.05)


def test_it_is_one_of_the_findings(tmp_path, added):
    config = quick_config()
    assert config.settings_of("dimension") == added.DimensionConfig(repeats=5)
    heard = []
    found = explain(
        random_relu(), linear_chain(3), config=config, seed=1, report=heard.append, claims=["dimension", "rotation"]
    )
    assert [finding.name for finding in found.findings] == ["rotation", "dimension"]
    assert heard == ["recording", "rotation", "dimension", "portrait"]  # and nothing that only other claims need
    write_results(found, tmp_path, seed=1, title="small")
    page = (tmp_path / "report.html").read_text()
    assert page.count('<section class="claim"') == 2
    assert page.count("data:image/png") == 2 + 4  # of the network, without kick neurons: no claim asked for them
    claims = json.loads((tmp_path / "verdicts.json").read_text())["claims"]
    assert claims[-1]["name"] == "dimension"
    assert "dimension_variance" in found.to_xarray()
    assert verdict_table(found).row_count == 2


def test_other_settings_and_other_names(added):
    config = ExplainConfig(record=SMALL, others=(added.DimensionConfig(most_dimensions=1.5),))
    found = explain(driven(2), linear_chain(3), config=config, claims=["dimension"])
    assert found["dimension"].verdict is Verdict.NOT_SUPPORTED
    with pytest.raises(InputError, match="unknown claim 'dimensions': did you mean 'dimension'"):
        explain(driven(2), linear_chain(3), claims=["dimensions"])
