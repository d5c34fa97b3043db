"""Models of any shape that nobody has trained: random weights, and read-outs fitted on what they say."""

import jax
import numpy as np

from neurodyn.baselines.export import freeze
from neurodyn.binning import MultimodalBatch, Scaling
from neurodyn.binning.folds import validation_split
from neurodyn.multiscale.config import DecoderConfig, ModalityConfig, ModelConfig
from neurodyn.multiscale.fitted import Fitted
from neurodyn.multiscale.fitting import build_model, split_model
from neurodyn.multiscale.inference import Network
from neurodyn.multiscale.readouts import fit_readouts
from neurodyn.realtime.runner import Frozen
from neurodyn.recurrent import InputScaling, RecurrentConfig
from neurodyn.recurrent import Network as RecurrentNetwork
from neurodyn.recurrent.network import draw_weights
from neurodyn.training import History


def untrained(batch: MultimodalBatch, **sizes) -> Fitted:
    """A fitted model but for the fit: weights and dynamics are random, scaling and read-outs those of the batch."""
    widths = {name: sizes.pop(name, (6, 5)) for name in ("encoder", "decoder")}
    rows = tuple(ModalityConfig(m.name, m.n_channels, m.likelihood, **widths) for m in batch.modalities)
    settings = RecurrentConfig(hidden=7, members=3, embedding=5) if sizes.pop("recurrent", True) else None
    model = ModelConfig(rows, **{"target": batch.n_dims, "memory": (1.0, 50.0), **sizes})
    config = DecoderConfig(model, recurrent=settings)
    scaling = Scaling.fit(batch)
    graph, parameters, constants = split_model(build_model(config, scaling))
    network = Network(graph, _shaken(parameters), constants)
    recurrent = None if settings is None else untrained_recurrent(batch, settings)
    held = validation_split(batch, 0.3, 10.0)[1]
    readouts = fit_readouts(network, recurrent, scaling, batch, held)
    return Fitted(
        config, network, scaling, batch.modalities, batch.target_names, batch.width, *readouts, History(), "", {},
        recurrent=recurrent,
    )  # fmt: skip


def untrained_recurrent(batch: MultimodalBatch, config: RecurrentConfig) -> RecurrentNetwork:
    """A recurrent read-out with random weights in every place."""
    scaling = InputScaling.fit(batch)
    weights = draw_weights(jax.random.key(1), scaling.n_inputs, batch.n_dims, config)
    return RecurrentNetwork(jax.tree.map(np.asarray, _shaken(weights)), scaling)


def recurrent_decoder(batch: MultimodalBatch) -> Frozen:
    """A live decoder that is a recurrent network of random weights: the cheapest one whose target follows the data."""
    network = untrained_recurrent(batch, RecurrentConfig(hidden=7, members=2, embedding=5))
    return freeze(network, Scaling.fit(batch), batch.modalities, batch.target_names, batch.width)


def _shaken(parameters):
    """Random numbers added to every parameter: biases, off-diagonal dynamics and zero weights take part too."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda p: p + 0.1 * rng.normal(size=p.shape).astype(p.dtype), parameters)


def random_dynamics(n: int = 5, m: int = 4, *, memory: tuple[float, float] = (2.0, 200.0), seed: int = 0):
    """Arrays of a Kalman filter as :class:`neurodyn.realtime.runner.GainTable` takes them, in single precision."""
    rng = np.random.default_rng(seed)
    decay = np.exp(-1 / np.geomspace(*memory, n))
    mixing = np.linalg.qr(rng.normal(size=(n, n)))[0]
    arrays = {
        "transition": mixing @ np.diag(decay) @ mixing.T,
        "process_noise": 1 - decay**2,
        "emission": rng.normal(size=(m, n)) / np.sqrt(n),
        "observation_noise": rng.uniform(0.5, 2.0, m),
        "initial_mean": rng.normal(size=n),
        "initial_covariance": np.eye(n),
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def random_frozen(
    *, channels: tuple[int, int] = (6, 5), latent: int = 4, traces: int = 2, dims: int = 2, seed: int = 0
) -> Frozen:
    """An exported decoder of a spiking and a field modality, without a model behind it."""
    rng, arrays = np.random.default_rng(seed), {}
    names = ("spikes", "poisson"), ("field", "gaussian")
    for i, count in enumerate(channels):
        arrays |= {f"{i}/center": rng.normal(size=count), f"{i}/inverse_scale": rng.uniform(0.5, 2, count)}
        arrays |= {
            f"{i}/encoder/0": rng.normal(size=(7, count + 1)) / 3,
            f"{i}/encoder/1": rng.normal(size=(latent, 8)),
        }
        arrays |= {f"{i}/bounds": np.array([-0.4, 9.6])} if i == 0 else {}
        arrays |= {f"{i}/decoder/0": rng.normal(size=(count, latent + 1))}
        arrays |= {f"{i}/dynamics/{k}": v for k, v in random_dynamics(latent, latent, seed=i).items()}
    arrays["fusion/0"] = rng.normal(size=(latent, 2 * latent + 1))
    arrays |= {f"backbone/{k}": v for k, v in random_dynamics(latent, latent, seed=2).items()}
    features = 3 * latent + 2 + traces * sum(channels)
    arrays |= {"readout/weights": rng.normal(size=(dims, features)), "decays": np.linspace(0.5, 0.99, traces)}
    arrays |= {"readout/residual": np.arange(1.0, dims + 1), "readout/usual": np.full(dims, 0.1)}
    rows = [
        {"name": name, "likelihood": kind, "channels": count, "clock": 1}
        for (name, kind), count in zip(names, channels, strict=True)
    ]
    settings = {
        "modalities": rows,
        "channel_names": {row["name"]: [str(c) for c in range(row["channels"])] for row in rows},
        "target_names": ["x", "y"][:dims],
        "width_seconds": 0.01,
        "states": [latent] * 3,
        "traces": traces,
    }
    return Frozen.pack(settings, arrays, np.dtype(np.float32))


def random_bins(
    frozen: Frozen, bins: int, *, missing: float = 0.2, seed: int = 0
) -> list[dict[str, np.ndarray | None]]:
    """Observations with channels and whole bins missing, and the second modality in one bin of five."""
    rng = np.random.default_rng(seed)
    given = []
    for k in range(bins):
        given.append({})
        for i, row in enumerate(frozen.settings["modalities"]):
            values = rng.poisson(1.0, row["channels"]) if i == 0 else rng.normal(size=row["channels"])
            values = np.where(rng.random(row["channels"]) < missing, np.nan, values)
            given[-1][row["name"]] = None if rng.random() < missing or (i and k % 5) else values
    return given
