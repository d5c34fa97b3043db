"""Fits against hmmlearn from the same start, the model the sequences came from, and the posterior written out."""

import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hmmlearn.hmm import CategoricalHMM
from numpyro.infer.util import log_density
from oracles import enumerate_paths
from oracles.small_hmm import arrays, random_hmm, some_symbols
from scipy.stats import dirichlet

from neurodyn.errors import InputError
from neurodyn.markov import (
    BayesConfig,
    EmConfig,
    HiddenMarkovModel,
    align_states,
    bayes,
    check_symbols,
    cycle,
    filter_states,
    fit_bayesian,
    fit_em,
    linear_chain,
    log_likelihood,
    pad_sequences,
    run_em,
    sample,
    smooth_states,
    state_order,
    viterbi,
)
from neurodyn.markov.alignment import reordered
from neurodyn.markov.emissions import Categorical
from neurodyn.markov.inference import along_time, expect, filter_trials, log_chain, log_ratio, path_of
from neurodyn.markov.passes import BLOCK
from neurodyn.markov.statistics import Counting, count_trials

CLEAR = HiddenMarkovModel(
    [0.6, 0.4], [[0.9, 0.1], [0.2, 0.8]], [[0.8, 0.15, 0.05], [0.05, 0.25, 0.7]], "clear", trial_steps=20
)


class Counts(NamedTuple):
    """Expected numbers of starts, transitions and emissions in each trial, given its symbols."""

    starts: Any
    transitions: Any
    emissions: Any


def expected_counts(chain, symbols):
    """What a step of expectation maximisation is told of a model of symbols."""
    emission, observed = Categorical(chain.emissions.shape[1]), (jnp.maximum(symbols, 0), symbols >= 0)
    found, steps = expect(emission, path_of(chain), {"log": chain.emissions}, observed, None)
    return Counts(found.starts, found.transitions, found.statistics["emitted"]), steps


def test_expected_transitions_equal_the_sum_over_all_paths():
    hmm, symbols = random_hmm(0), some_symbols(0)
    counts, _ = expected_counts(log_chain(hmm), jnp.asarray(symbols.T))
    expected = [enumerate_paths.expected_transitions(*arrays(hmm), row) for row in symbols]
    np.testing.assert_allclose(counts.transitions, expected, atol=1e-12)
    np.testing.assert_allclose(counts.emissions.sum(axis=(1, 2)), (symbols >= 0).sum(axis=1))


@pytest.mark.parametrize("steps", [1, 7])
def test_em_equals_hmmlearn_from_the_same_start(steps):
    symbols = sample(CLEAR, 20, 15, seed=0).symbols
    start = random_hmm(3, states=2, symbols=3)
    other = CategoricalHMM(2, n_features=3, init_params="", n_iter=steps, tol=-np.inf, implementation="log")
    other.startprob_, other.transmat_, other.emissionprob_ = (np.array(a) for a in arrays(start))
    other.fit(symbols.reshape(-1, 1), [15] * 20)
    ours = run_em(start, symbols, config=EmConfig(iterations=steps, tolerance=1e-300))
    for mine, theirs in zip(arrays(ours.hmm), (other.startprob_, other.transmat_, other.emissionprob_), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-9)
    np.testing.assert_allclose(ours.log_likelihood[:steps], other.monitor_.history, rtol=1e-11)
    assert ours.status == "iterations"


def test_likelihood_never_falls_and_a_start_says_how_it_ended():
    symbols = some_symbols(1, trials=12, steps=9)
    fit = fit_em(symbols, 3, symbol_count=4, seed=2, config=EmConfig(restarts=4, iterations=40, tolerance=1e-3))
    finals = [run.log_likelihood[-1] for run in fit.runs]
    assert finals == sorted(finals, reverse=True)
    assert fit.log_likelihood == finals[0] == pytest.approx(log_likelihood(fit.hmm, symbols).sum())
    assert fit.status == fit.runs[0].status
    for run in fit.runs:
        gains = np.diff(run.log_likelihood)
        assert (gains > -1e-9).all()
        enough = 1e-3 * (symbols >= 0).sum()
        assert (gains[:-1] >= enough).all()
        assert run.status == ("converged" if gains[-1] < enough else "iterations")
    assert {run.status for run in fit.runs} >= {"converged"}


def test_em_finds_the_model_that_sequences_came_from():
    drawn = sample(CLEAR, 400, 25, seed=4)
    fit = fit_em(drawn.symbols, 2, symbol_count=3, seed=0, config=EmConfig(restarts=2))
    found = align_states(fit.hmm, CLEAR)
    assert fit.status == "converged"
    assert fit.log_likelihood >= log_likelihood(CLEAR, drawn.symbols).sum()
    # With the states known, the error of a share is sqrt(p (1 - p) / visits); hidden states at most triple it here.
    visits = np.bincount(drawn.states.ravel())[:, None]
    for mine, true in ((found.transitions, CLEAR.transitions), (found.emissions, CLEAR.emissions)):
        assert (np.abs(mine - true) < 4 * 3 * np.sqrt(true * (1 - true) / visits)).all()


def test_em_with_missing_symbols_finds_the_same_model():
    symbols = sample(CLEAR, 400, 25, seed=4).symbols
    lost = np.where(np.random.default_rng(0).random(symbols.shape) < 0.2, -1, symbols)
    config = EmConfig(restarts=2)
    whole, gappy = (
        align_states(fit_em(s, 2, symbol_count=3, seed=0, config=config).hmm, CLEAR) for s in (symbols, lost)
    )
    np.testing.assert_allclose(gappy.transitions, whole.transitions, atol=0.05)
    np.testing.assert_allclose(gappy.emissions, whole.emissions, atol=0.05)


def test_a_state_that_is_never_visited_keeps_its_row():
    symbols = np.zeros((3, 5), np.int32)
    start = HiddenMarkovModel([1, 0], [[1, 0], [0.3, 0.7]], [[0.5, 0.5], [0.4, 0.6]], "unreachable", 5)
    run = run_em(start, symbols)
    np.testing.assert_allclose(run.hmm.transitions[1], [0.3, 0.7])
    np.testing.assert_allclose(run.hmm.emissions, [[1, 0], [0.4, 0.6]])


def test_em_in_single_precision_ends_where_double_precision_does(float32):
    symbols = sample(CLEAR, 100, 20, seed=6).symbols
    run = run_em(random_hmm(3, states=2, symbols=3), symbols)
    assert run.status == "converged"
    other = CategoricalHMM(2, n_features=3, init_params="", n_iter=500, tol=1e-6 * symbols.size)
    other.startprob_, other.transmat_, other.emissionprob_ = (
        np.array(a) for a in arrays(random_hmm(3, states=2, symbols=3))
    )
    other.fit(symbols.reshape(-1, 1), [20] * 100)
    assert run.log_likelihood[-1] == pytest.approx(other.monitor_.history[-1], rel=2e-6)


class StopsAfter:
    """Progress that presses Ctrl-C."""

    def __init__(self, updates: int) -> None:
        self.left, self.status = updates, ""

    def update(self, epoch, epochs, loss, best):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt

    def finish(self, status):
        self.status = status


def test_an_interrupt_keeps_the_best_start_that_had_ended():
    symbols, config = some_symbols(2, trials=6), EmConfig(restarts=3, iterations=5, tolerance=1e-12)
    stop = StopsAfter(12)
    fit = fit_em(symbols, 2, symbol_count=4, seed=0, config=config, progress=stop)
    assert (fit.status, stop.status, len(fit.runs)) == ("interrupted", "interrupted", 2)
    with pytest.raises(KeyboardInterrupt):
        fit_em(symbols, 2, symbol_count=4, seed=0, config=config, progress=StopsAfter(2))


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(InputError, match="every symbol is missing"):
        fit_em(np.full((2, 3), -1), 2, symbol_count=3, seed=0)
    with pytest.raises(InputError, match="at least one state and one symbol, got 0 and 3"):
        fit_em(np.zeros((2, 3), int), 0, symbol_count=3, seed=0)
    with pytest.raises(InputError, match="restarts must be positive, got 0"):
        EmConfig(restarts=0)
    trap = HiddenMarkovModel([1, 0], np.eye(2), np.eye(2), "trap", 5)
    with pytest.raises(InputError, match="the start cannot emit trial 1"):
        run_em(trap, np.array([[0, 0], [0, 1]]))


@pytest.mark.parametrize("hmm", [cycle(), random_hmm(5, states=5), linear_chain(4)], ids=lambda hmm: hmm.name)
def test_alignment_undoes_any_renaming(hmm):
    for seed in range(6):
        shuffled = reordered(hmm, np.random.default_rng(seed).permutation(hmm.states))
        aligned = align_states(shuffled, hmm)
        np.testing.assert_array_equal(aligned.transitions, hmm.transitions)
        np.testing.assert_array_equal(aligned.emissions, hmm.emissions)


def test_alignment_tells_states_apart_by_where_they_lead():
    """Three states emit the same symbols and stay as long; only their successors differ."""
    transitions = [[0.5, 0.5, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0.5, 0.5], [0.5, 0, 0, 0.5]]
    emissions = [[0.9, 0.1], [0.1, 0.9], [0.1, 0.9], [0.1, 0.9]]
    ring = HiddenMarkovModel(np.full(4, 0.25), transitions, emissions, "ring", 10)
    shuffled = reordered(ring, np.array([3, 0, 2, 1]))
    np.testing.assert_array_equal(state_order(shuffled, ring), [1, 3, 2, 0])
    with pytest.raises(InputError, match=r"got \(4, 2\) and, in the reference, \(2, 3\)"):
        align_states(ring, CLEAR)


def test_log_posterior_is_the_prior_times_the_sum_over_all_paths():
    hmm, symbols = random_hmm(0), some_symbols(0)
    config = BayesConfig(initial=1.5, transitions=2.0, emissions=0.7)
    values = {name: jnp.asarray(getattr(hmm, name)) for name in ("initial", "transitions", "emissions")}
    with jax.numpy_dtype_promotion("standard"):
        nothing = jnp.zeros(symbols.T.shape)
        found, _ = log_density(bayes._model, (jnp.asarray(symbols.T), 3, 4, config, nothing), {}, values)
    expected = dirichlet.logpdf(hmm.initial, np.full(3, 1.5))
    expected += sum(dirichlet.logpdf(row, np.full(3, 2.0)) for row in hmm.transitions)
    expected += sum(dirichlet.logpdf(row, np.full(4, 0.7)) for row in hmm.emissions)
    expected += sum(np.log(enumerate_paths.likelihood(*arrays(hmm), row)) for row in symbols)
    assert float(found) == pytest.approx(expected, rel=1e-11)


def test_posterior_holds_the_model_and_reads_in_arviz():
    symbols = sample(CLEAR, 40, 15, seed=2).symbols
    config = BayesConfig(warmup=150, draws=150, em=EmConfig(restarts=2))
    posterior = fit_bayesian(symbols, 2, symbol_count=3, seed=1, config=config)
    assert posterior.transitions.shape == (2, 150, 2, 2)
    assert posterior.r_hat < 1.1
    assert posterior.diverging.mean() < 0.02
    order = state_order(posterior.start, CLEAR)
    for name in ("transitions", "emissions"):
        draws = getattr(posterior, name)
        np.testing.assert_allclose(draws.sum(axis=-1), 1, atol=1e-9)
        low, high = np.quantile(draws, [0.0005, 0.9995], axis=(0, 1))
        true = getattr(CLEAR, name)
        back = np.argsort(order)
        true = true[np.ix_(back, back)] if name == "transitions" else true[back]
        assert ((low <= true) & (true <= high)).all()
    best = log_likelihood(posterior.start, symbols).sum()
    assert (posterior.log_likelihood <= best + 1e-6).all()
    one = HiddenMarkovModel(posterior.initial[1, 7], posterior.transitions[1, 7], posterior.emissions[1, 7], "draw", 20)
    assert log_likelihood(one, symbols).sum() == pytest.approx(posterior.log_likelihood[1, 7])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ArviZ announces its next version on import
        data = posterior.to_arviz()
        import arviz

        table = arviz.summary(data, var_names=["transitions"], fmt="xarray")
    assert data.posterior["transitions"].dims == ("chain", "draw", "state", "next_state")
    assert data.posterior["emissions"].sizes["symbol"] == 3
    np.testing.assert_allclose(table["transitions"].sel(metric="mean"), posterior.mean().transitions, atol=1e-3)


# Sequences of unequal length ------------------------------------------------------------------------------------


def unequal(lengths=(15, 4, 1, 9), seed=0):
    drawn = sample(CLEAR, len(lengths), max(lengths), seed=seed).symbols
    return [row[:length] for row, length in zip(drawn, lengths, strict=True)]


@pytest.mark.parametrize("form", [list, tuple, lambda rows: [row.tolist() for row in rows], pad_sequences])
def test_em_on_sequences_of_unequal_length_equals_hmmlearn(form):
    rows = unequal() * 3
    start = random_hmm(3, states=2, symbols=3)
    other = CategoricalHMM(2, n_features=3, init_params="", n_iter=5, tol=-np.inf, implementation="log")
    other.startprob_, other.transmat_, other.emissionprob_ = (np.array(a) for a in arrays(start))
    other.fit(np.concatenate(rows)[:, None], [len(row) for row in rows])
    ours = run_em(start, form(rows), config=EmConfig(iterations=5, tolerance=1e-300))
    for mine, theirs in zip(arrays(ours.hmm), (other.startprob_, other.transmat_, other.emissionprob_), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-9)
    np.testing.assert_allclose(ours.log_likelihood[:5], other.monitor_.history, rtol=1e-11)


def test_every_function_takes_sequences_of_unequal_length():
    rows, objects = unequal(), np.empty(4, object)
    objects[:] = rows
    for given in (rows, objects):
        np.testing.assert_allclose(
            log_likelihood(CLEAR, given), [log_likelihood(CLEAR, row)[0] for row in rows], rtol=1e-12
        )
        for infer in (filter_states, smooth_states, viterbi):
            for got, row in zip(infer(CLEAR, given), rows, strict=True):
                np.testing.assert_allclose(got[: len(row)], infer(CLEAR, row)[0], atol=1e-12)
    config = EmConfig(restarts=1, iterations=2)
    fit = fit_em(rows, 2, symbol_count=3, seed=0, config=config)
    assert fit.log_likelihood == fit_em(pad_sequences(rows), 2, symbol_count=3, seed=0, config=config).log_likelihood
    small = BayesConfig(chains=1, draws=2, warmup=2, em=config)
    assert fit_bayesian(rows, 2, symbol_count=3, seed=0, config=small).log_likelihood.shape == (1, 2)


def test_sequences_are_filled_up_at_their_end():
    np.testing.assert_array_equal(
        pad_sequences([[1, 2], [0], np.array([2, 1, 0])]), [[1, 2, -1], [0, -1, -1], [2, 1, 0]]
    )
    np.testing.assert_array_equal(check_symbols([[1], [0, 1]], 2), [[1, -1], [0, 1]])
    np.testing.assert_array_equal(check_symbols([0, 1], 2), [[0, 1]])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0, 1], []], r"sequence 1 must be a row of at least one integer symbol, got shape \(0,\)"),
        ([[0, 1], [0.5]], "sequence 1 .* of float64"),
        ([[0, 1], 1], r"sequence 1 .*got shape \(\)"),
        ([[0, 1], [[1], [2, 3]]], "sequence 1 must be"),
        ([[0, 1], [5]], "trial 1 has 5 at step 0"),
    ],
)
def test_sequences_that_cannot_be_used_are_named(rows, message):
    with pytest.raises(InputError, match=message):
        log_likelihood(CLEAR, rows)


def test_no_sequence_is_refused():
    with pytest.raises(InputError, match="at least one sequence of symbols, got none"):
        pad_sequences([])
    with pytest.raises(InputError, match="trials of one length without missing ones"):
        count_trials(pad_sequences(unequal()), Counting(3, 2, 4))


# Long sequences in single precision -----------------------------------------------------------------------------


def forward_backward(hmm, symbols):
    """Log-likelihood and expected transitions and emissions of one sequence, scaled, in float64 with a loop."""
    initial, transitions, emissions = arrays(hmm)
    alpha, scale = np.empty((len(symbols), hmm.states)), np.empty(len(symbols))
    for t, symbol in enumerate(symbols):
        ahead = (initial if t == 0 else alpha[t - 1] @ transitions) * emissions[:, symbol]
        scale[t] = ahead.sum()
        alpha[t] = ahead / scale[t]
    pairs, emitted, beta = np.zeros((hmm.states, hmm.states)), np.zeros(emissions.shape), np.ones(hmm.states)
    emitted[:, symbols[-1]] += alpha[-1]
    for t in range(len(symbols) - 2, -1, -1):
        weight = emissions[:, symbols[t + 1]] * beta / scale[t + 1]
        pair = alpha[t][:, None] * transitions * weight
        beta = transitions @ weight
        pairs += pair
        emitted[:, symbols[t]] += pair.sum(axis=1)
    return np.log(scale).sum(), pairs, emitted


@pytest.mark.usefixtures("float32")
def test_a_long_sequence_in_single_precision_against_a_loop_in_double():
    hmm = cycle()
    symbols = sample(hmm, 1, 50_000, seed=0).symbols
    expected, pairs, emitted = forward_backward(hmm, symbols[0])
    counts, steps = expected_counts(log_chain(hmm), jnp.asarray(symbols.T))
    assert counts.transitions.dtype == np.float32
    np.testing.assert_allclose(counts.transitions[0], pairs, rtol=2e-6, atol=1e-3)
    np.testing.assert_allclose(counts.emissions[0], emitted, rtol=2e-6, atol=1e-3)
    assert along_time(steps)[0] == pytest.approx(expected, abs=0.01)
    assert log_likelihood(hmm, symbols)[0] == pytest.approx(expected, abs=0.01)


@pytest.mark.slow
@pytest.mark.usefixtures("float32")
def test_three_million_steps_in_single_precision_and_em():
    """Symbols that say nothing of the state: what is expected is known in closed form from the stationary state."""
    transitions = np.array([[0.95, 0.04, 0.01], [0.05, 0.9, 0.05], [0.02, 0.08, 0.9]])
    values, vectors = np.linalg.eig(transitions.T)
    stationary = np.real(vectors[:, np.argmax(values.real)])
    stationary /= stationary.sum()
    shares, count = np.array([0.7, 0.2, 0.1]), 3_000_000
    hmm = HiddenMarkovModel(stationary, transitions, np.tile(shares, (3, 1)), "blind", 100)
    symbols = np.random.default_rng(0).choice(3, (1, count), p=shares).astype(np.int32)
    seen = np.bincount(symbols[0], minlength=3)
    counts, steps = jax.jit(expected_counts)(log_chain(hmm), jnp.asarray(symbols.T))
    np.testing.assert_allclose(counts.transitions[0], (count - 1) * stationary[:, None] * transitions, rtol=2e-5)
    np.testing.assert_allclose(counts.emissions[0], stationary[:, None] * seen, rtol=2e-5)
    np.testing.assert_allclose(along_time(steps)[0], seen @ np.log(shares), rtol=0, atol=0.3)
    after = run_em(hmm, symbols, config=EmConfig(iterations=1))
    np.testing.assert_allclose(after.hmm.transitions, transitions, rtol=2e-5)
    np.testing.assert_allclose(after.hmm.emissions, np.tile(seen / count, (3, 1)), rtol=2e-5)
    np.testing.assert_allclose(after.log_likelihood[0], seen @ np.log(shares), rtol=0, atol=0.3)


@pytest.mark.parametrize("steps", [5, BLOCK, 2 * BLOCK + 3])
def test_the_likelihood_in_blocks_is_that_of_the_filter(steps):
    """Value and gradient, with missing symbols, and by Fisher's identity: each probability is used so many times."""
    symbols = np.array(some_symbols(3, trials=5, steps=steps))
    symbols[:, 2] = -1
    symbols[1, -3:] = -1
    chain, turned = log_chain(random_hmm(3)), jnp.asarray(symbols.T)
    reference = filter_trials(log_chain(random_hmm(4)), turned)[1]
    plain = jax.value_and_grad(lambda one: 3.0 * filter_trials(one, turned)[1].sum())(chain)
    value, slopes = jax.value_and_grad(lambda one: 3.0 * log_ratio(one, turned, reference))(chain)
    assert float(value) == pytest.approx(float(plain[0] - 3.0 * reference.sum()), rel=1e-12)
    for mine, theirs in zip(slopes, plain[1], strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-9)
    for mine, counts in zip(slopes, expected_counts(chain, turned)[0], strict=True):
        np.testing.assert_allclose(mine, 3.0 * counts.sum(axis=0), atol=1e-9)
    many = jax.tree.map(lambda part: jnp.stack([part, part + 0.1]), chain)
    batched = jax.vmap(jax.grad(lambda one: log_ratio(one, turned, reference)))(many)
    np.testing.assert_allclose(3.0 * batched.transitions[0], plain[1].transitions, atol=1e-9)


@pytest.mark.usefixtures("float32")
def test_a_sampler_sees_a_nat_in_a_million_steps_in_single_precision():
    """Log-likelihoods of about -10^6, one nat to a hundred apart, against hmmlearn in double precision."""
    hmm = CLEAR
    symbols = np.random.default_rng(0).choice(3, (1, 1_000_000), p=[0.5, 0.2, 0.3]).astype(np.int32)
    other = CategoricalHMM(2, n_features=3, implementation="scaling")

    def exact(model):
        other.startprob_, other.transmat_, other.emissionprob_ = (np.array(a) for a in arrays(model))
        return other.score(symbols.T)

    turned = jnp.asarray(symbols.T)
    reference = jax.jit(filter_trials)(log_chain(hmm), turned)[1]
    ratio, start = jax.jit(log_ratio), exact(hmm)
    for share in (3e-4, 1e-3, 1e-2):
        near = [np.float32((1 - share) * one + share / one.shape[-1]).astype(float) for one in arrays(hmm)]
        near = HiddenMarkovModel(*(one / one.sum(axis=-1, keepdims=True) for one in near), name="near", trial_steps=9)
        expected = exact(near) - start
        assert float(ratio(log_chain(near), turned, reference)) == pytest.approx(expected, abs=0.1, rel=2e-3)


@pytest.mark.usefixtures("float32")
def test_the_slope_over_a_million_steps_in_single_precision():
    """Symbols that say nothing of the state: transitions are used as often as the stationary state says."""
    transitions = np.array([[0.95, 0.05], [0.1, 0.9]])
    stationary, shares, count = np.array([2, 1]) / 3, np.array([0.7, 0.2, 0.1]), 1_000_000
    hmm = HiddenMarkovModel(stationary, transitions, np.tile(shares, (2, 1)), "blind", 100)
    symbols = jnp.asarray(np.random.default_rng(0).choice(3, (count, 1), p=shares).astype(np.int32))
    slopes = jax.jit(jax.grad(log_ratio))(log_chain(hmm), symbols, jnp.zeros((count, 1)))
    assert slopes.transitions.dtype == np.float32
    np.testing.assert_allclose(slopes.transitions, (count - 1) * stationary[:, None] * transitions, rtol=4e-5)
    seen = np.bincount(np.asarray(symbols)[:, 0], minlength=3)
    np.testing.assert_allclose(slopes.emissions, stationary[:, None] * seen, rtol=4e-5)
