"""A gated recurrent network that reads a target out of what was observed: see README.md."""

from neurodyn.recurrent.attention import Attention
from neurodyn.recurrent.config import RecurrentConfig
from neurodyn.recurrent.inputs import InputScaling, Sequences, sequences_of
from neurodyn.recurrent.network import Body, Gated, Network
from neurodyn.recurrent.prediction import Predicted, predict
from neurodyn.recurrent.training import fit_members
from neurodyn.recurrent.turns import held_out_of, hold_out_in_turn, holders

__all__ = [
    "Attention",
    "Body",
    "Gated",
    "InputScaling",
    "Network",
    "Predicted",
    "RecurrentConfig",
    "Sequences",
    "fit_members",
    "held_out_of",
    "hold_out_in_turn",
    "holders",
    "predict",
    "sequences_of",
]
