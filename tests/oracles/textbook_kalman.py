"""Oracle: Kalman filter and smoother as a textbook prints them, one trial, rows of missing channels dropped."""

import numpy as np


def kalman_filter(model, values: np.ndarray, observed: np.ndarray):
    """Filtered means and covariances, one-step predicted ones, and the log-likelihood of one trial."""
    a, q, c, r, mean, covariance = (np.asarray(x, np.float64) for x in model)
    results = {"mean": [], "covariance": [], "predicted_mean": [], "predicted_covariance": []}
    total = 0.0
    for y, seen in zip(values, observed, strict=True):
        results["predicted_mean"].append(mean)
        results["predicted_covariance"].append(covariance)
        if seen.any():
            rows, noise = c[seen], np.diag(r[seen])
            innovation = y[seen] - rows @ mean
            variance = rows @ covariance @ rows.T + noise
            gain = covariance @ rows.T @ np.linalg.inv(variance)
            mean = mean + gain @ innovation
            covariance = covariance - gain @ rows @ covariance
            total -= 0.5 * (
                innovation @ np.linalg.inv(variance) @ innovation + np.log(np.linalg.det(2 * np.pi * variance))
            )
        results["mean"].append(mean)
        results["covariance"].append(covariance)
        mean, covariance = a @ mean, a @ covariance @ a.T + np.diag(q)
    return {name: np.stack(list_) for name, list_ in results.items()} | {"log_likelihood": float(total)}


def rts_smoother(model, values: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smoothed means and covariances of one trial: Rauch, Tung and Striebel's form with its difference."""
    a = np.asarray(model.transition, np.float64)
    filtered = kalman_filter(model, values, observed)
    mean, covariance = filtered["mean"].copy(), filtered["covariance"].copy()
    for t in range(len(mean) - 2, -1, -1):
        predicted = filtered["predicted_covariance"][t + 1]
        gain = filtered["covariance"][t] @ a.T @ np.linalg.inv(predicted)
        mean[t] = filtered["mean"][t] + gain @ (mean[t + 1] - filtered["predicted_mean"][t + 1])
        covariance[t] = filtered["covariance"][t] + gain @ (covariance[t + 1] - predicted) @ gain.T
    return mean, covariance
