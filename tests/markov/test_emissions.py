"""Every row of the table of emissions: inference against scipy's densities and all paths, fits against hmmlearn."""

import jax
import numpy as np
import pytest
from hmmlearn.hmm import CategoricalHMM, GaussianHMM, PoissonHMM
from oracles import enumerate_any_hmm as paths
from scipy import optimize

from neurodyn.errors import InputError, NumericalError
from neurodyn.markov import (
    EMISSIONS,
    Autoregressive,
    Categorical,
    Choices,
    DiagonalGaussian,
    EmConfig,
    Gaussian,
    GeneralHmm,
    Poisson,
    as_general,
    as_symbols,
    filter_states,
    fit_em,
    fit_hmm,
    linear_chain,
    log_likelihood,
    make_emission,
    run_em,
    sample,
    smooth_states,
    viterbi,
)

INITIAL, TRANSITIONS = np.array([0.6, 0.4]), np.array([[0.8, 0.2], [0.3, 0.7]])
COVARIANCE = np.array([[[1.0, 0.3], [0.3, 0.5]], [[0.6, -0.2], [-0.2, 1.2]]])
MEAN = np.array([[0.0, 1.0], [1.5, -1.0]])
TURNS = np.array([[[0.5, 0.2], [-0.3, 0.4]], [[-0.6, 0.1], [0.2, 0.3]]])
LIKES = np.array([[[0.2, 3.0, 0.0], [-0.5, 0.0, 2.0]], [[1.5, -1.0, 0.3], [0.5, -2.0, -1.0]]])
MODELS = {
    "categorical": GeneralHmm(
        INITIAL, TRANSITIONS, Categorical(3), {"probabilities": [[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]}
    ),
    "gaussian": GeneralHmm(INITIAL, TRANSITIONS, Gaussian(), {"mean": MEAN, "covariance": COVARIANCE}),
    "diagonal_gaussian": GeneralHmm(
        INITIAL, TRANSITIONS, DiagonalGaussian(), {"mean": MEAN, "variance": [[1.0, 0.5], [0.6, 1.2]]}
    ),
    "poisson": GeneralHmm(INITIAL, TRANSITIONS, Poisson(), {"rate": [[0.5, 3.0], [2.0, 1.0]]}),
    "choices": GeneralHmm(INITIAL, TRANSITIONS, Choices(3), {"weights": LIKES}),
    "autoregressive": GeneralHmm(
        INITIAL, TRANSITIONS, Autoregressive(lags=2),
        {"intercept": MEAN, "coefficients": np.stack([TURNS, 0.3 * TURNS[::-1]], axis=1), "covariance": COVARIANCE},
    ),
}  # fmt: skip
every = pytest.mark.parametrize("kind", MODELS)


def rows(kind, lengths=(9, 3, 6), seed=0, missing=0.1):
    """Sequences of unequal length, with entries missing one by one and one step that is missing altogether."""
    drawn = sample(MODELS[kind], len(lengths), max(lengths), seed=seed).observations
    rng = np.random.default_rng(seed)
    found = []
    for row, length in zip(drawn, lengths, strict=True):
        row = row[:length].copy()
        lost = rng.random(row.shape) < missing
        lost[length - 3] = missing > 0
        row[lost] = -1 if kind == "categorical" else np.nan
        found.append(row)
    return found


def test_every_row_of_the_table_is_tested_here():
    assert set(MODELS) == set(EMISSIONS)


@every
@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_inference_is_the_sum_over_all_paths(kind, missing):
    hmm, sequences = MODELS[kind], rows(kind, missing=missing)
    tables = [(INITIAL, TRANSITIONS, paths.densities(kind, hmm.parameters, row)) for row in sequences]
    expected = [np.log(paths.likelihood(*table)) for table in tables]
    np.testing.assert_allclose(log_likelihood(hmm, sequences), expected, rtol=1e-10, atol=1e-12)
    found = (filter_states(hmm, sequences), smooth_states(hmm, sequences), viterbi(hmm, sequences))
    for trial, table in enumerate(tables):
        steps = len(table[2])
        np.testing.assert_allclose(found[0][trial, :steps], paths.filtered(*table), atol=1e-10)
        np.testing.assert_allclose(found[1][trial, :steps], paths.smoothed(*table), atol=1e-10)
        np.testing.assert_array_equal(found[2][trial, :steps], paths.best_path(*table))


@every
def test_a_step_of_em_raises_the_likelihood_of_all_paths(kind):
    """Five steps on ragged sequences with gaps, each measured by enumeration; without a prior, then with one."""
    lengths = (11, 9, 10) if kind == "autoregressive" else (8, 3, 6)  # the first two steps say nothing there
    sequences = rows(kind, lengths, seed=1)
    for emission, prior in ((unprejudiced(kind), {}), (MODELS[kind].emission, {"stickiness": 3.0, "transitions": 2.0})):
        start = GeneralHmm(INITIAL, TRANSITIONS, emission, MODELS[kind].parameters)
        totals = [enumerated(kind, start, sequences)]
        run = run_em(start, sequences, config=EmConfig(iterations=4, tolerance=1e-300, **prior))
        assert (np.diff(run.log_posterior) > 0).all()
        totals.append(enumerated(kind, run.hmm, sequences))
        np.testing.assert_allclose([run.log_likelihood[0], run.log_likelihood[-1]], totals, rtol=1e-10)


def unprejudiced(kind):
    lags = {"autoregressive": {"lags": 2}, "choices": {"choices": 3}}.get(kind, {})
    return make_emission(kind, symbols=3) if kind == "categorical" else make_emission(kind, strength=0.0, **lags)


def enumerated(kind, hmm, sequences):
    return sum(
        np.log(paths.likelihood(hmm.initial, hmm.transitions, paths.densities(kind, hmm.parameters, row)))
        for row in sequences
    )


@every
def test_a_maximum_of_the_posterior_is_one_in_every_direction(kind):
    """Where EM ends, no small change of a parameter is more probable: the M step, and prior and likelihood as one."""
    sequences = rows(kind, lengths=(25, 14, 9), seed=2)
    emission = MODELS[kind].emission if kind != "categorical" else Categorical(3, concentration=1.5)
    config = EmConfig(iterations=400, tolerance=1e-11, initial=1.5, transitions=1.5, stickiness=1.0)
    start = GeneralHmm(INITIAL, TRANSITIONS, emission, MODELS[kind].parameters)
    run = run_em(start, sequences, config=config)
    prior = emission.prior(emission.to_arrays(sequences))

    def posterior(**changed):
        hmm = GeneralHmm(
            changed.pop("initial", run.hmm.initial), changed.pop("transitions", run.hmm.transitions), emission,
            {**run.hmm.parameters, **changed},
        )  # fmt: skip
        of_path = config.log_prior(hmm.initial, hmm.transitions)
        return log_likelihood(hmm, sequences).sum() + of_path + emission.log_prior(hmm.parameters, prior)

    best, rng = posterior(), np.random.default_rng(0)
    assert best == pytest.approx(run.log_posterior[-1], abs=1e-9)
    for name, value in {"initial": run.hmm.initial, "transitions": run.hmm.transitions, **run.hmm.parameters}.items():
        for sign in (-1, 1):
            direction = rng.normal(size=value.shape)
            if name in ("initial", "transitions", "probabilities"):
                direction -= direction.mean(axis=-1, keepdims=True)
                direction *= value.min() / np.abs(direction).max()
            if name == "covariance":
                direction = direction + direction.swapaxes(1, 2)
                direction *= np.linalg.eigvalsh(value).min() / np.abs(np.linalg.eigvalsh(direction)).max()
            assert posterior(**{name: value + 0.02 * sign * direction}) < best + 1e-6, name


def other_of(kind, start, steps):
    """hmmlearn's model from the same start, without priors of its own."""
    fixed = {"init_params": "", "n_iter": steps, "tol": -np.inf, "implementation": "log"}
    loose = {"min_covar": 0.0, "covars_prior": 0.0, "covars_weight": 0.0, "means_weight": 0.0}
    if kind == "categorical":
        other = CategoricalHMM(2, n_features=3, **fixed)
        other.emissionprob_ = start.parameters["probabilities"].copy()
    elif kind == "poisson":
        other = PoissonHMM(2, lambdas_prior=0.0, lambdas_weight=0.0, **fixed)
        other.lambdas_ = start.parameters["rate"].copy()
    else:
        full = kind == "gaussian"
        other = GaussianHMM(2, covariance_type="full" if full else "diag", **fixed, **loose)
        other.means_ = start.parameters["mean"].copy()
        other.covars_ = start.parameters["covariance" if full else "variance"].copy()
    other.startprob_, other.transmat_ = start.initial.copy(), start.transitions.copy()
    return other


@pytest.mark.parametrize("kind", ["categorical", "gaussian", "diagonal_gaussian", "poisson"])
def test_em_equals_hmmlearn_on_sequences_of_unequal_length(kind):
    """hmmlearn's variances go through (weight + steps) with a weight that cannot be below 0: none is added here."""
    sequences = rows(kind, lengths=(60, 25, 40, 11), seed=3, missing=0.0)
    start = GeneralHmm(INITIAL, TRANSITIONS, unprejudiced(kind), MODELS[kind].parameters)
    run = run_em(start, sequences, config=EmConfig(iterations=30, tolerance=1e-300))
    other = other_of(kind, start, 30)
    flat = np.concatenate(sequences)
    flat = flat[:, None] if kind == "categorical" else flat.astype(int) if kind == "poisson" else flat
    other.fit(flat, [len(row) for row in sequences])
    np.testing.assert_allclose(run.log_likelihood[:30], other.monitor_.history, atol=1e-3)
    np.testing.assert_allclose(run.hmm.transitions, other.transmat_, atol=1e-4)
    assert run.log_likelihood[-1] == pytest.approx(other.score(flat, [len(row) for row in sequences]), abs=1e-3)


def test_transitions_with_a_prior_equal_hmmlearn():
    sequences = rows("categorical", lengths=(60, 25, 40, 11), seed=3, missing=0.0)
    start = as_symbols(MODELS["categorical"], 60)
    config = EmConfig(iterations=20, tolerance=1e-300, initial=2.0, transitions=1.5, stickiness=4.0, emissions=3.0)
    run = run_em(start, sequences, config=config)
    other = other_of("categorical", MODELS["categorical"], 20)
    other.startprob_prior, other.emissionprob_prior = 2.0, 3.0
    other.transmat_prior = np.full((2, 2), 1.5) + 4.0 * np.eye(2)
    other.fit(np.concatenate(sequences)[:, None], [len(row) for row in sequences])
    np.testing.assert_allclose(run.hmm.transitions, other.transmat_, atol=1e-9)
    np.testing.assert_allclose(run.hmm.initial, other.startprob_, atol=1e-9)
    np.testing.assert_allclose(run.hmm.emissions, other.emissionprob_, atol=1e-9)


def test_one_state_with_values_missing_one_by_one_is_the_likeliest_normal_distribution():
    """The gradient of scipy's marginal densities vanishes at the fit, in the mean and along the covariance."""
    rng = np.random.default_rng(0)
    values = rng.multivariate_normal([1.0, -2.0, 0.5], [[1, 0.6, 0.2], [0.6, 2, 0], [0.2, 0, 0.5]], 60)
    values[rng.random(values.shape) < 0.25] = np.nan
    fit = fit_hmm(values, 1, emission=Gaussian(strength=0.0), seed=0, config=EmConfig(restarts=1, tolerance=1e-13))
    mean, covariance = fit.hmm.parameters["mean"][0], fit.hmm.parameters["covariance"][0]

    def total(mean, covariance):
        return sum(np.log(paths.normal(row, mean, covariance)) for row in values)

    assert fit.log_likelihood == pytest.approx(total(mean, covariance), rel=1e-10)
    for _ in range(6):
        shift, turn = rng.normal(size=3), rng.normal(size=(3, 3))
        for sign in (-1, 1):
            assert total(mean + 0.01 * sign * shift, covariance) < fit.log_likelihood
            assert total(mean, covariance + 0.01 * sign * (turn + turn.T)) < fit.log_likelihood


def test_one_autoregressive_state_is_least_squares():
    sequences = rows("autoregressive", lengths=(60, 40), missing=0.0)
    emission = Autoregressive(strength=0.0, lags=2)
    fit = fit_hmm(sequences, 1, emission=emission, seed=0, config=EmConfig(restarts=1, iterations=3))
    terms = np.concatenate([np.c_[np.ones(len(row) - 2), row[1:-1], row[:-2]] for row in sequences])
    values = np.concatenate([row[2:] for row in sequences])
    weights, _, _, _ = np.linalg.lstsq(terms, values, rcond=None)
    np.testing.assert_allclose(fit.hmm.parameters["intercept"][0], weights[0], atol=1e-9)
    np.testing.assert_allclose(fit.hmm.parameters["coefficients"][0, 0].T, weights[1:3], atol=1e-9)
    np.testing.assert_allclose(fit.hmm.parameters["coefficients"][0, 1].T, weights[3:], atol=1e-9)
    left = values - terms @ weights
    np.testing.assert_allclose(fit.hmm.parameters["covariance"][0], left.T @ left / len(left), atol=1e-9)


def test_one_state_of_choices_is_the_penalised_logistic_regression():
    """Against a general optimiser; and without a prior, against the slope being zero."""
    values = sample(MODELS["choices"], 1, 400, seed=8).observations[0]
    terms, chosen = np.c_[np.ones(400), values[:, 1:]], values[:, 0].astype(int)

    def cost(flat, strength):
        weights = flat.reshape(2, 3)
        odds = np.c_[np.zeros(400), terms @ weights.T]
        likelihood = (odds[np.arange(400), chosen] - np.log(np.exp(odds).sum(axis=1))).sum()
        return -likelihood + 0.5 * strength * ((terms**2).mean(axis=0) * weights**2).sum()

    for strength in (0.0, 5.0):
        emission = Choices(choices=3, strength=strength)
        fit = fit_hmm(
            values, 1, emission=emission, seed=0, config=EmConfig(restarts=1, iterations=3000, tolerance=1e-13)
        )
        best = optimize.minimize(cost, np.zeros(6), args=(strength,), tol=1e-12)
        np.testing.assert_allclose(fit.hmm.parameters["weights"][0].ravel(), best.x, atol=1e-3)


@every
def test_samples_have_the_moments_of_their_states(kind):
    hmm = MODELS[kind]
    drawn = sample(hmm, 400, 25, seed=4)
    for state in range(2):
        here = drawn.states == state
        here[:, :2] = False
        values = drawn.observations[here]
        if kind == "choices":  # at inputs about zero and about one
            for inputs in ([0.0, 0.0], [1.0, 0.0]):
                near = values[(np.abs(values[:, 1:] - inputs) < 0.4).all(axis=1), 0]
                odds = np.exp([0.0, *(LIKES[state] @ [1.0, *inputs])])
                np.testing.assert_allclose(
                    np.bincount(near.astype(int), minlength=3) / len(near), odds / odds.sum(), atol=0.1
                )
            continue
        if kind == "categorical":
            shares = np.bincount(values, minlength=3) / len(values)
            np.testing.assert_allclose(shares, hmm.parameters["probabilities"][state], atol=0.03)
            continue
        if kind == "autoregressive":  # what is left of the prediction
            for lag in (1, 2):
                before = drawn.observations[np.nonzero(here)[0], np.nonzero(here)[1] - lag]
                values = values - before @ hmm.parameters["coefficients"][state, lag - 1].T
        mean = hmm.parameters.get("mean", hmm.parameters.get("intercept", hmm.parameters.get("rate")))[state]
        np.testing.assert_allclose(values.mean(axis=0), mean, atol=0.12)
        expected = np.diag(np.broadcast_to(hmm.parameters.get("variance", hmm.parameters.get("rate", MEAN))[state], 2))
        expected = hmm.parameters["covariance"][state] if "covariance" in hmm.parameters else expected
        np.testing.assert_allclose(np.cov(values.T), expected, atol=0.2)


@pytest.mark.parametrize(
    "kind", ["gaussian", "diagonal_gaussian", "poisson", "autoregressive", "categorical", "choices"]
)
def test_a_fit_finds_the_model_that_sequences_came_from(kind):
    drawn = sample(MODELS[kind], 30, 80, seed=5)
    config = EmConfig(restarts=3, iterations=150, tolerance=1e-5)
    fit = fit_hmm(drawn.observations, 2, emission=MODELS[kind].emission, seed=1, config=config)
    assert fit.log_likelihood > log_likelihood(MODELS[kind], drawn.observations).sum() - 3.0
    found, best = (states_found(hmm, drawn) for hmm in (fit.hmm, MODELS[kind]))
    assert found > best - 0.03  # nobody can do better than the model itself, but by chance


def states_found(hmm, drawn):
    """Share of the steps whose state the best path names, with the better of both numberings."""
    right = (viterbi(hmm, drawn.observations) == drawn.states).mean()
    return max(right, 1 - right)


@pytest.mark.slow
@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize("kind", ["gaussian", "poisson", "autoregressive"])
def test_a_hundred_thousand_steps_in_single_precision(kind):
    """Finite, rising, and the same likelihood as in double precision, which is that of all paths above."""
    hmm = MODELS[kind]
    values = sample(MODELS["poisson" if kind == "poisson" else "gaussian"], 1, 100_000, seed=6).observations
    run = run_em(hmm, values, config=EmConfig(iterations=1, tolerance=1e-12))
    assert np.isfinite(run.log_likelihood).all()
    assert run.log_posterior[1] > run.log_posterior[0] - 0.05
    jax.config.update("jax_enable_x64", True)
    assert run.log_likelihood[0] == pytest.approx(log_likelihood(hmm, values)[0], rel=1e-6)


def test_masked_arrays_and_forms_of_sequences_are_one():
    hmm = MODELS["poisson"]
    counts = sample(hmm, 3, 6, seed=0).observations
    lost = counts.copy()
    lost[1, 2, 0] = np.nan
    masked = np.ma.MaskedArray(counts.astype(int), np.isnan(lost))
    expected = log_likelihood(hmm, lost)
    np.testing.assert_array_equal(log_likelihood(hmm, masked), expected)
    np.testing.assert_array_equal(log_likelihood(hmm, list(masked)), expected)
    np.testing.assert_array_equal(log_likelihood(hmm, lost[1]), expected[1:2])
    one = GeneralHmm(INITIAL, TRANSITIONS, "poisson", {"rate": [[0.5], [2.0]]})
    for form in ([0, 3, 1], np.array([0, 3, 1]), [[0, 3, 1]], [np.array([[0], [3], [1]])]):
        np.testing.assert_allclose(log_likelihood(one, form), log_likelihood(one, np.array([[[0], [3], [1]]])))
    symbols = np.ma.MaskedArray([[0, 2, 1]], [[False, True, False]])
    as_list = log_likelihood(MODELS["categorical"], [[0, -1, 1]])
    np.testing.assert_array_equal(log_likelihood(MODELS["categorical"], symbols), as_list)


def test_a_model_of_symbols_is_one_with_the_categorical_emission():
    symbols = sample(linear_chain(3), 5, 20, seed=0).symbols
    general = as_general(linear_chain(3))
    np.testing.assert_array_equal(log_likelihood(general, symbols), log_likelihood(linear_chain(3), symbols))
    back = as_symbols(general, 30)
    np.testing.assert_array_equal(back.emissions, linear_chain(3).emissions)
    config = EmConfig(restarts=2, iterations=20)
    one, other = (
        fit_em(symbols, 2, symbol_count=3, seed=0, config=config),
        fit_hmm(symbols, 2, emission=Categorical(3), seed=0, config=config),
    )
    assert one.log_likelihood == other.log_likelihood
    with pytest.raises(InputError, match=r"expected a model that emits symbols .* got Poisson"):
        as_symbols(MODELS["poisson"], 30)


@every
def test_a_model_goes_through_json(kind):
    import json

    hmm = MODELS[kind]
    again = GeneralHmm.from_dict(json.loads(json.dumps(hmm.to_dict())))
    assert again.emission == hmm.emission
    for name, value in hmm.parameters.items():
        np.testing.assert_array_equal(again.parameters[name], value)
    assert f"2 states, {hmm.channels} channel" in repr(hmm)
    assert "state 1" in repr(hmm)


def fitted_to(observations, emission="gaussian", states=1):
    return fit_hmm(observations, states, emission=emission, seed=0)


def one_state(emission, stay=1.0, **parameters):
    return GeneralHmm([1.0], [[stay]], emission, parameters)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_emission("gausian"), "unknown emission 'gausian': did you mean 'gaussian'"),
        (lambda: make_emission("categorical"), "'categorical' cannot be made of the settings {}: .*symbols"),
        (lambda: fitted_to([[1.5]], "poisson"), r"whole numbers from 0, .* sequence 0 has 1.5 at step 0"),
        (lambda: fitted_to([[1.0], [-1.0]], "poisson"), "sequence 1 has -1 at step 0, channel 0"),
        (lambda: fitted_to([[np.nan]]), "every step is missing"),
        (lambda: fitted_to([[1.0, np.inf]]), "sequence 0 is infinite at step 1, channel 0"),
        (lambda: fitted_to([]), "at least one sequence, got none"),
        (lambda: fitted_to([[1.0], []]), r"sequence 1 must have the shape \(time, channels"),
        (lambda: fitted_to([["a"]]), "sequence 0 must hold numbers"),
        (lambda: fitted_to([np.zeros((3, 2)), np.zeros((3, 1))]), r"same number of channels, got \[1, 2\]"),
        (lambda: fitted_to([[1.0]], states=0), "at least one state, got 0"),
        (lambda: fitted_to([[1.0, 2.0]], Autoregressive(lags=3)), "every step is missing"),
        (lambda: log_likelihood(MODELS["gaussian"], [[1.0, 2.0]]), "is of 2 channels, the sequences are of 1"),
        (lambda: Autoregressive(lags=0), "lags must be at least 1, got 0"),
        (lambda: Gaussian(strength=-1.0), "strength must be 0 or more, got -1"),
        (lambda: Categorical(3, concentration=0.5), "concentration must be at least 1"),
        (lambda: EmConfig(transitions=0.5), "the concentration transitions must be at least 1, got 0.5"),
        (lambda: EmConfig(stickiness=-1.0), "stickiness must be 0 or more, got -1"),
        (lambda: one_state("poisson", rates=[[1.0]]), "needs the parameter 'rate'"),
        (lambda: one_state("poisson", rate=[[-1.0]]), "rate must not be negative"),
        (lambda: one_state("gaussian", mean=[[0.0]], covariance=[[[0.0]]]), "positive definite"),
        (lambda: one_state("poisson", 0.9, rate=[[1.0]]), "row 0 of transitions adds up to 0.9"),
        (lambda: GeneralHmm.from_dict({"initial": [1.0]}), "missing: transitions, emission"),
    ],
)
def test_what_cannot_be_used_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_state_that_collapses_says_what_to_do():
    values = np.array([[[0.0], [0.0], [0.0], [5.0], [6.0], [7.0]]])
    for emission in (Gaussian(strength=0.0), DiagonalGaussian(strength=0.0)):
        with pytest.raises(NumericalError, match="strength above 0"):
            fit_hmm(values, 2, emission=emission, seed=0, config=EmConfig(restarts=4))
    kept = fit_hmm(values, 2, emission="gaussian", seed=0, config=EmConfig(restarts=2))
    assert np.isfinite(kept.log_likelihood)


@pytest.mark.parametrize(
    ("observations", "message"),
    [
        ([[[0.0, 1.0], [2.0, 0.5]]], r"from 0 to 1, NaN where there is none; sequence 0 has 2 at step 1"),
        ([[[0.5, 1.0]]], "sequence 0 has 0.5 at step 0"),
    ],
)
def test_choices_that_do_not_exist_are_refused(observations, message):
    with pytest.raises(InputError, match=message):
        fit_hmm(np.asarray(observations), 1, emission="choices", seed=0)
    with pytest.raises(InputError, match="at least 2"):
        Choices(choices=1)
    with pytest.raises(InputError, match=r"\(states, choices - 1, 1 \+ inputs\)"):
        GeneralHmm(INITIAL, TRANSITIONS, Choices(2), {"weights": np.zeros((2, 2, 3))})
