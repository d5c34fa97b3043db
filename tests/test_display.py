"""Every object of a notebook shows itself in ten lines: what it is, its sizes, and nothing of a file's markup."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from evaluation.stubs import Leaky
from oracles import known_maps
from oracles.small_decoder import fit_small, small_decoder
from oracles.small_hmm import Emulates
from recording.make_recording import everything

from neurodyn.baselines import BoostedTrees, CausalGru, CausalRidge, LinearDynamicalSystem, WienerCascade, WienerFilter
from neurodyn.binning import MultimodalBatch, time_folds, trial_folds
from neurodyn.display import as_html, as_text, listed, pluralised
from neurodyn.emulation import HmmEmulator, MatchConfig, TrainingConfig, match
from neurodyn.evaluation import Method, Score, check_online, cross_validate
from neurodyn.fixed_points import find, linearise
from neurodyn.markov import cycle, linear_chain
from neurodyn.mechanism import Criterion, Estimate, Explanation, Finding
from neurodyn.recording import BinnedCounts, Recording, Signal, SpikeTrains
from neurodyn.recurrent import RecurrentConfig


class _Cells(HTMLParser):
    """Text of a table's cells, and the tags it is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags = [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text.append(data)


def cells(markup: str) -> _Cells:
    parser = _Cells()
    parser.feed(markup)
    return parser


def shown(thing, *facts: str) -> str:
    """What an object shows, after a look at its size, its facts, and that both forms say the same."""
    text = repr(thing)
    assert 1 <= len(text.splitlines()) <= 10, text
    assert max(map(len, text.splitlines())) <= 110, text
    for fact in facts:
        assert fact in text, (fact, text)
    if hasattr(thing, "_repr_html_"):
        parser = cells(thing._repr_html_())
        assert parser.tags == {"table", "caption", "b", "tbody", "tr", "th", "td"}
        squeezed = re.sub(r"\s+", "", "".join(parser.text))
        assert squeezed[:200] == re.sub(r"\s+", "", text)[:200]
    return text


@pytest.fixture(scope="module")
def batch():
    """Three trials of 40 bins of 20 ms, a field in every second bin, a tenth of the spikes lost."""
    rng = np.random.default_rng(0)
    spikes = rng.poisson(1.0, (3, 40, 2)).astype(float)
    spikes[:, :4] = np.nan
    field = rng.normal(size=(3, 40, 3))
    field[:, ::2] = np.nan
    return MultimodalBatch.from_arrays(
        {"spikes": spikes, "field": field}, width=0.02, likelihoods={"spikes": "poisson", "field": "gaussian"},
        target=rng.normal(size=(3, 40, 2)), target_names=("x", "y"), sample_every={"field": 2},
    )  # fmt: skip


def test_a_recording():
    shown(everything(), "Recording 'session 1'", "3 units, 65 spikes", "300 samples x 3 channels at 100 Hz, µV")
    shown(everything().spikes["spikes"], "tetrode 1/a, 2, ü", "quality, depth, channel, sorted")
    shown(everything().intervals["epochs"], "2 intervals", "rest, task")
    shown(everything().behaviour["position"], "80 samples x 2 channels with timestamps", "x, y")


def test_a_recording_of_many_items_is_cut():
    signals = [Signal(f"field {i}", np.zeros((5, 1)), rate=1.0) for i in range(30)]
    text = shown(Recording("r", fields={signal.name: signal for signal in signals}))
    assert text.splitlines()[-1].split() == ["...", "and", "22", "more"]


def test_many_units_are_a_few_names():
    trains = SpikeTrains("spikes", tuple(np.zeros(1) for _ in range(1000)), tuple(f"u{i}" for i in range(1000)))
    shown(trains, "1,000 units, 1,000 spikes", "u0, u1, u2, u3, u4, u5, ... 1000 in all")
    shown(BinnedCounts("counts", np.ones((20, 3)), width=0.05), "3 units x 20 bins of 50 ms", "0.00 to 1.00 s")


def test_names_from_a_file_add_no_markup():
    name = "<script>alert(1)</script>\n<b>"
    recording = Recording(name, fields={name: Signal(name, np.zeros((5, 1)), rate=1.0)})
    assert len(shown(recording).splitlines()) == 2
    assert "<script" not in recording._repr_html_()
    assert "&lt;script&gt;" in recording._repr_html_()


def test_a_batch_and_its_parts(batch):
    shown(batch, "3 trials, 120 bins of 20 ms", "2 channels, poisson, 90.0% observed", "x, y", "0.00 to 2.40 s")
    shown(batch, "3 channels, gaussian, a sample every 2 bins, 50.0% observed")
    shown(batch.modality("field"), "Modality 'field': 3 channels", "field0, field1, field2")
    shown(batch.stacked(), "3 of at most 40 bins", "2 channels", "2 dimensions")
    fold = time_folds(batch, 2, gap=0.1, lead_in=0.2)[1]
    shown(fold, "test    2 trials, 70 bins of 20 ms, 10 of them context", "spikes (2 channels), field (3 channels)")


def test_a_decoder_before_and_after_its_fit(lorenz_batch):
    shown(small_decoder(epochs=7, seed=3), "MultiscaleDecoder: not fitted", "up to 7 epochs, seed 3", "latent")
    fitted = fit_small(lorenz_batch[0], epochs=1)
    text = shown(fitted, "fitted, training finished", "4 channels, poisson", "x, y, z", "1 of 1 epochs, best valid")
    assert f"{fitted.fitted_.history.best:.4g}" in text
    shown(fitted.fitted_, "Fitted", "x, y, z")


def test_a_live_decoder_and_its_estimates(lorenz_batch):
    fitted = fit_small(lorenz_batch[0], epochs=1)
    live = fitted.realtime()
    shown(live, "RealtimeDecoder", "10 ms, 0 decoded", "4 channels", "x, y, z")
    estimate = live.step({"spikes": np.zeros(4), "field": None}, t=0.01)
    text = shown(estimate, "bin that ends at 0.01 s, seen: spikes", "latent    4 dimensions")
    assert f"target 2  {estimate.target[2]:.4g}" in text
    assert hasattr(estimate, "_repr_html_")
    named = estimate._replace(seen=("<script>", *"abcdefgh"))
    assert "<script" not in named._repr_html_()
    shown(named, "seen: <script>, a, b, c, d, e, ...")
    shown(live, "10 ms, 1 decoded", "µs at the median")
    assert "and 14 more dimensions" in shown(
        estimate._replace(**dict.fromkeys(("target", "lower", "upper"), np.zeros(20)))
    )


def test_the_baselines(lorenz_batch):
    train, _ = lorenz_batch
    shown(CausalRidge(), "CausalRidge: not fitted", "ExponentialFilters")
    ridge = CausalRidge().fit(train)
    shown(ridge, "CausalRidge: fitted", "x, y, z", f"{len(ridge.filtered_.weights)} features per dimension")
    shown(WienerFilter(), "WienerFilter: not fitted", "5, 10, 20 bins")
    filters = WienerCascade((2, 3), degrees=(1, 2)).fit(train)
    shown(filters, "WienerCascade: fitted", f"{filters.lags_} bins, chosen from 2, 3", "chosen from 1, 2", "x, y, z")
    shown(filters.realtime(), "LiveFilter", f"{filters.lags_} of them seen at a time", "x, y, z")
    shown(BoostedTrees(lags=3), "BoostedTrees: not fitted", "3 bins", "at most 200 per dimension")
    network = RecurrentConfig(hidden=3, members=1, steps=2, validate_every=1)
    shown(CausalGru(), "CausalGru: not fitted")
    shown(CausalGru(network, progress=False).fit(train), "CausalGru: fitted", "1 x 3 units, up to 2 steps", "2 rounds")


def test_a_score_and_what_stands_beside_it(lorenz_batch):
    """The line that the README prints first."""
    fitted = fit_small(lorenz_batch[0], epochs=1)
    found = fitted.score(lorenz_batch[1])
    text = shown(found, f"Score over {found.n_bins:,} bins", f"mean R² {np.mean(found.r2):.3f}", "bits per spike")
    inside = found.intervals.coverage[found.intervals.levels.index(0.95), 1]
    assert re.search(rf"y +R² {found.r2[1]:.3f}, correlation {found.correlation[1]:.3f}, {inside:.1%} in the 95%", text)
    shown(found.intervals, "Calibration of 3 dimensions", "95% interval")
    online = check_online(fitted, lorenz_batch[1], max_bins=40)
    shown(
        online, f"OnlineCheck over {online.n_bins} bins", f"{online.latent_difference:.1e} at most", "µs at the median"
    )
    many = Score(tuple(f"d{i}" for i in range(40)), np.zeros(40), np.zeros(40), 5)
    assert shown(many).splitlines()[-1].split() == ["...", "and", "32", "more"]
    shown(Score((), np.zeros(0), np.zeros(0), 5, {"spikes": 0.25}), "Score over 5 bins", "0.250 bits per spike")


def test_what_a_baseline_found_is_no_dump_of_its_arrays(lorenz_batch):
    for baseline in (CausalRidge(), WienerFilter((2,)), LinearDynamicalSystem(2, iterations=2)):
        shown(baseline.fit(lorenz_batch[0]).fitted_, "10 ms", "4 channels", "x, y, z", "parts")


def test_a_cross_validation(batch):
    methods = [Method("both", Leaky(), ("spikes", "field")), Method("field", Leaky(), ("field",))]
    result = cross_validate(methods, trial_folds(batch, 3, seed=0))
    values = np.asarray([score.r2.mean() for score in result.scores("field")])
    shown(result, "held-out R² of x, y", "over 3 folds", f"{values.mean():.3f} ± {values.std():.3f} filtered")
    one = result.of("both")[2]
    shown(one, "both, fold 3", f"{one.filtered.r2[1]:.3f}", "40 bins scored")
    shown(one.decoded, "40, 40 of them scored", "2 dimensions", "filtered, smoothed")
    shown(one.learning, "2 epochs, finished", "3 at first, 2 at last", "2 at best, after epoch 1")


def test_fixed_points_and_their_neighbourhood():
    found = find(known_maps.pitchfork, known_maps.cloud(20, 2), 0.5)
    kinds = {status.value: sum(one is status for one in found.status) for status in set(found.status)}
    text = shown(found, f"FixedPoints: {len(found)} of states with 2 entries", "20 starts, tolerance")
    assert all(f"{count} from " in text for count in kinds.values())
    linear = linearise(known_maps.pitchfork, found.fixed.states, 0.5, dt=0.1)
    text = shown(linear, "3 points of 2 dimensions, 0.1 s per step", "0 to 1 directions per point")
    # x' = x / 2 - x^3 at 0 and at +- sqrt(1 / 2), y' = -y, in Euler steps of 0.1
    assert "0.9 to 1.05" in text


def test_a_hidden_markov_model():
    shown(cycle(12), "12 states", "staying")
    chain = linear_chain(3)
    best = int(np.argmax(chain.emissions[0]))
    shown(chain, "3 states, 3 symbols", f"most often emits {best} ({chain.emissions[0, best]:.3g})")


def test_an_emulator():
    shown(HmmEmulator(), "HmmEmulator: not fitted", "150 relu units, 100 inputs of noise")
    tiny = TrainingConfig(sequences=60, batch=8, epochs=2, validation=8, validate_every=1)
    fitted = HmmEmulator(8, 4, training=tiny, progress=False).fit(linear_chain(3, trial_steps=4))
    shown(fitted, "fitted, training finished", "3 states, 3 symbols", "8 relu units")
    shown(fitted, f"2 of 2, best validation {fitted.history.best:.4g}", "batches of 8 out of 60 sequences")


def test_a_match():
    quick = MatchConfig(resamples=20, matched_trials=60, block=60, tested_trials=60, permutations=400)
    found = match(Emulates(linear_chain(3)), linear_chain(3), trials=100, seed=0, config=quick, steps=10)
    ratio = found["volatility_ratio"]
    shown(found, found.verdict.value, "100 trials of 10 steps", f"{ratio.value:.4g} ({ratio.floor:.4g} of the model")


def test_an_explanation():
    import xarray as xr

    estimate = Estimate("reach", 0.5, 0.4, 0.6, "steps")
    criterion = Criterion(estimate, least=0.1)
    names = "abcdefghi"
    found = [
        Finding(i, name, "claim", estimate, Estimate("of shuffled", 0.125, 0.1, 0.2), (criterion,), xr.Dataset())
        for i, name in enumerate(names, start=1)
    ]
    explained = Explanation(tuple(found), {}, "8 relu units", "chain")
    text = shown(explained, "Explanation of 8 relu units, trained on chain")
    assert len(text.splitlines()) == 10
    expected = "supported: reach 0.5 [0.4, 0.6] steps, control 0.125"
    assert [line.split(maxsplit=1) for line in text.splitlines()[1:]] == [[name, expected] for name in names]


def test_text_is_one_line_and_bounded():
    assert as_text("a\nb", [("n\t", "x" * 300)]).splitlines() == ["a b", "  n   " + "x" * 101 + "..."]
    assert [pluralised(n, "bin") for n in (0, 1, 1200)] == ["0 bins", "1 bin", "1,200 bins"]
    assert listed(["a", "b"]) == "a, b"
    assert cells(as_html("<i>", [("&", '"')])).text == ["<i>", "&", '"']
