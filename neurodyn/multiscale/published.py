"""The settings of the paper that the decoder goes back to."""

from collections.abc import Mapping
from typing import Any, TypeVar

from neurodyn.multiscale.config import ObjectiveConfig, TrainingConfig

_Decoder = TypeVar("_Decoder", bound="Published")


class Published:
    """A decoder that knows the settings of the paper: Erturk & Shanechi (2025), NeurIPS, arXiv 2512.12462."""

    @classmethod
    def published(
        cls: type[_Decoder],
        *,
        latent: int | None = None,
        epochs: int | None = None,
        seed: int = 0,
        simulation: bool = False,
        modalities: int = 2,
        smoothness: Mapping[str, float] | None = None,
        mask_per_trial: bool = True,
    ) -> _Decoder:
        """The paper's settings: its network, objective, start and course of training, and its read-out.

        Networks have three hidden layers of 128 units and no linear path; the target is not in the objective and is
        read out from the shared state alone, by plain regression; counts enter raw; all trials are trained on and the
        last epoch is kept. Each of these is an argument of the decoder too. The paper's option of a variance of the
        field that is learned is ``published().set_params(learned_variance=True)``.

        Parameters
        ----------
        latent, epochs
            64 latents and 500 epochs for recordings, 32 and 200 for simulations, if None.
        seed
            Of everything random.
        simulation
            Whether the data are simulated: a dropout of 0.4 instead of 0.1.
        modalities
            How many there will be: networks of one have a tenth of the weight penalty.
        smoothness
            Weight per modality or likelihood. The paper has 250 for spikes (50 for centre-out reaching) and 5 or 10 for
            the field; for networks of one modality 100 or 30 for spikes, and 250 (50 simulated) for the field. None:
            250 and 5, or 10 simulated; of one modality 100 and 250, or 50 simulated.
        mask_per_trial
            Whether each trial has hidden bins of its own, as in the paper; all of a step having the same decodes as
            well and is several times faster (``experiments/time_dropout``).

        Examples
        --------
        >>> import neurodyn as nd
        >>> decoder = nd.MultiscaleDecoder.published(simulation=True)
        >>> decoder.latent, decoder.training.epochs, decoder.objective.dropout
        (32, 200, 0.4)
        """
        wide, alone = (128, 128, 128), modalities == 1
        sizes = latent or (32 if simulation else 64)
        field_weight = (50.0 if simulation else 250.0) if alone else (10.0 if simulation else 5.0)
        passes = epochs or (200 if simulation else 500)
        settings: dict[str, Any] = {
            "latent": sizes,
            "modality_state": sizes,
            "encoder": wide,
            "decoder": wide,
            "fusion": (128,),
            "linear_path": False,
            "traces": (),
            "recurrent": None,
            "bounded": False,
            "start": "paper",
            "readout": "backbone",
            "raw_counts": True,
            "smoothness": {"poisson": 100.0 if alone else 250.0, "gaussian": field_weight, **(smoothness or {})},
            "objective": ObjectiveConfig(
                target=0.0,
                weight_penalty=1e-4 if alone else 1e-3,
                dropout=0.4 if simulation else 0.1,
                rescale=False,
                score_hidden=False,
                time_dropout_per_trial=mask_per_trial,
            ),
            "training": TrainingConfig(
                epochs=passes, batch=32, average=0.0, validation=0.0, stepwise=True, patience=passes, seed=seed
            ),
        }
        return cls(**settings)
