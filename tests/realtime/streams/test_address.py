"""Addresses as a user types them."""

import pytest

from neurodyn.errors import InputError
from neurodyn.realtime.streams import SCHEMES, Address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("lsl://rig", Address(SCHEMES["lsl"], "rig")),
        ("lsl://My Amplifier", Address(SCHEMES["lsl"], "My Amplifier")),
        ("lsl://rig?network", Address(SCHEMES["lsl"], "rig", options={"network": ""})),
        ("zmq://127.0.0.1:5555", Address(SCHEMES["zmq"], port=5555)),
        ("zmq://:5555", Address(SCHEMES["zmq"], port=5555)),
        ("zmq://*:5555", Address(SCHEMES["zmq"], host="*", port=5555)),
        ("redis://127.0.0.1:6379/rig", Address(SCHEMES["redis"], "rig", port=6379)),
        ("redis:///rig?dtype=int16", Address(SCHEMES["redis"], "rig", port=6379, options={"dtype": "int16"})),
        ("file:///data/one.nwb?speed=2", Address(SCHEMES["file"], "/data/one.nwb", options={"speed": "2"})),
        ("file://one.nwb", Address(SCHEMES["file"], "one.nwb")),
    ],
)
def test_an_address_is_taken_apart(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rig", "expected an address like file://.*lsl://name, zmq://127.0.0.1:5555, redis://.*got 'rig'"),
        ("tcp://127.0.0.1:5555", "got 'tcp://127.0.0.1:5555'"),
        ("lsl://", "expected an address like lsl://name, got 'lsl://'"),
        ("lsl:rig", "expected an address like"),
        ("zmq://127.0.0.1", "expected an address like zmq://127.0.0.1:5555"),
        ("zmq://127.0.0.1:99999", "expected an address like zmq://127.0.0.1:5555"),
        ("zmq://127.0.0.1:5555/topic", "expected an address like zmq://127.0.0.1:5555"),
        ("zmq://[::1", "expected an address like zmq://127.0.0.1:5555"),
        ("redis://127.0.0.1:6379", "expected an address like redis://127.0.0.1:6379/prefix"),
        ("redis://user:word@127.0.0.1/rig", "expected an address like redis://127.0.0.1:6379/prefix"),
        ("file://one.nwb?sped=2", "unknown option of file:// 'sped': did you mean 'speed'"),
        ("zmq://:5555?fast", "unknown option of zmq:// 'fast': did you mean 'rates'"),
    ],
)
def test_what_is_not_an_address_says_what_one_is(text, message):
    with pytest.raises(InputError, match=message):
        parse_address(text)


@pytest.mark.parametrize("text", ["lsl://rig", "zmq://localhost:5555", "redis:///rig", "file://one.nwb"])
def test_on_this_machine_there_is_nothing_to_warn_of(text):
    assert parse_address(text).warning() == ""


@pytest.mark.parametrize("text", ["lsl://rig?network", "zmq://*:5555", "zmq://0.0.0.0:5555", "redis://10.0.0.2/rig"])
def test_what_leaves_the_machine_is_said(text):
    assert "nothing on it is encrypted" in parse_address(text).warning()
