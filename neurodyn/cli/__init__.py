"""The command line, ``neurodyn``: one module per sub-command.

A command is imported when it is used, so that ``neurodyn --help`` need not wait for any of them.
"""

COMMANDS = {
    "demo": "decode a simulated Lorenz attractor from spikes and a slower field",
    "inspect": "show what is in a recording, as a table",
    "convert": "write a recording in another format: .h5, .nwb or .mat",
    "decode": "fit a real-time decoder to a recording and report how well it does",
    "sweep": "decode many recordings with many methods, on this machine or a cluster",
    "serve": "decode live data with a fitted model",
    "replay": "play a recording to Lab Streaming Layer, ZeroMQ or Redis, as if it were being recorded",
    "emulate": "train a network to emulate a hidden Markov model",
    "explain": "test claims on how a trained network emulates its HMM",
    "doctor": "look at versions, devices, threads and memory, and say what to do",
    "bench": "measure speed and memory next to a baseline",
}
"""What each command does; the module of that name offers ``add_parser(subparsers)``, which sets the default ``run``."""
