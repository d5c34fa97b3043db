"""Two short recordings and a configuration beside them."""

import pytest

pytest.importorskip("distributed")
pytest.importorskip("zarr")

CONFIG = """
sessions: [rat*.h5]
methods: [gru, ridge]
seeds: [0, 1]
options: {target: [position], folds: 3, lead_in: 2s, gap: 1s, modalities: [spikes]}
settings:
  narrow: {width: 50ms}
  wide: {width: 100ms}
"""


@pytest.fixture(scope="session")
def sessions(tmp_path_factory):
    """Folder of the recordings and of config.yaml."""
    import neurodyn as nd
    from neurodyn.recording import write_recording
    from neurodyn.simulation import ForagingSettings

    folder = tmp_path_factory.mktemp("sessions")
    for seed in range(2):
        write_recording(nd.simulate_foraging(ForagingSettings(seconds=40.0), seed=seed), folder / f"rat{seed}.h5")
    (folder / "config.yaml").write_text(CONFIG)
    return folder
