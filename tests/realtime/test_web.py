"""The live page: over real sockets, and in a real browser."""

import json
import re
import urllib.error
import urllib.request

import numpy as np
import pytest
from oracles.browser import Browser
from oracles.streams import LIMIT

from neurodyn.errors import InputError
from neurodyn.realtime import EventLog, Kind, LiveEstimate
from neurodyn.realtime.monitor import Monitor
from neurodyn.realtime.streams import Hello
from neurodyn.realtime.web import WebPage

client = pytest.importorskip("websockets.sync.client")
exceptions = pytest.importorskip("websockets.exceptions")


def estimate(index, names=("spikes", "field")):
    time = 0.01 * index
    target = np.array([np.cos(time), np.sin(2 * time)])
    seen = tuple(name for name in names if name == "spikes" or index % 5 == 0)
    return LiveEstimate(
        time,
        np.zeros(2),
        np.eye(2),
        {"spikes": np.ones(3), "field": np.ones(2)},
        target,
        target - 0.2,
        target + 0.2,
        seen,
    )


def add(monitor, index, microseconds=60.0, *, missed=False):
    """An estimate after so many microseconds of which half were the step, and 10 ms after the end of its bin."""
    parts = dict(zip(("binning", "step", "hand_over"), 1e-6 * microseconds * np.array([0.3, 0.5, 0.2]), strict=True))
    monitor.add(estimate(index), wait=0.01, **parts, missed=missed)


@pytest.fixture
def page():
    monitor = Monitor(["spikes", "field"], EventLog())
    page = WebPage(monitor, ["x", "y"], units=["m", ""], title="a rig", period=0.01)
    for index in range(300):
        add(monitor, index, 60.0 + index, missed=index == 7)
        page.write(estimate(index))
    monitor.log.record(1.5, Kind.GAP, "field", "<b>12 samples</b> never came")
    yield page
    page.close()


def get(page, path="", **headers):
    request = urllib.request.Request(page.address + path, headers=headers)
    with urllib.request.urlopen(request, timeout=LIMIT) as answer:
        return answer.status, dict(answer.headers), answer.read().decode()


def live(page, origin):
    return client.connect(f"ws://127.0.0.1:{page.port}/live", origin=origin, open_timeout=LIMIT)


def test_the_page_is_one_file_that_asks_nobody_else(page):
    status, headers, text = get(page)
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert int(headers["Content-Length"]) == len(text.encode())
    assert re.findall(r"""(?:src|href)=["'](?!data:)""", text) == []
    assert re.findall(r"https?://", text) == []


def test_the_socket_sends_what_was_decoded(page):
    with live(page, f"http://127.0.0.1:{page.port}") as socket:
        hello, tick = (json.loads(socket.recv(LIMIT)) for _ in range(2))
    assert (hello["title"], hello["targets"], hello["modalities"]) == ("a rig", ["x", "y"], ["spikes", "field"])
    assert len(tick["points"]) == 300
    time, target, lower, upper = tick["points"][-1]
    assert time == pytest.approx(2.99)
    np.testing.assert_allclose(target, [np.cos(2.99), np.sin(5.98)])
    np.testing.assert_allclose(np.array(upper) - lower, 0.4)
    assert (tick["bins"], tick["missed"], tick["faults"]) == (300, 1, 1)
    assert tick["seen"] == {"spikes": 1.0, "field": pytest.approx(0.2)}
    assert sum(tick["histogram"]) == 300
    budget = {row.pop("part"): row for row in tick["budget"]}
    assert list(budget) == ["age", "wait", "binning", "step", "hand-over", "latency", "in all"]
    assert set(budget["age"].values()) == {None}
    assert budget["latency"]["p50"] == pytest.approx(60 + 149.5, rel=0.02)
    assert budget["step"]["p99"] == pytest.approx(0.5 * (60 + 297), rel=0.02)
    assert budget["in all"]["worst"] == pytest.approx(1e4 + 359)
    assert hello["units"] == ["m", ""]
    assert tick["events"][0]["modality"] == "field"


def test_what_the_estimates_are_of_is_told_to_pages_opened_later(page):
    said = Hello((), ("x", "y"), ("m", ""), 0.01, 2, "ab" * 32)
    page.greet(said)
    with live(page, None) as socket:
        hello = json.loads(socket.recv(LIMIT))
    assert Hello.from_dict(hello["hello"]) == said
    assert hello["title"] == "a rig"


def test_what_is_new_comes_once_and_what_is_unknown_is_null(page):
    with live(page, None) as socket:
        socket.recv(LIMIT)
        socket.recv(LIMIT)
        page.write(estimate(300)._replace(target=np.array([np.nan, 1.0])))
        while not (points := json.loads(socket.recv(LIMIT))["points"]):
            pass
        assert [point[0] for point in points] == [pytest.approx(3.0)]
        assert points[0][1] == [None, 1.0]


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1", "null", "https://127.0.0.1:{port}"])
def test_a_page_from_elsewhere_gets_no_socket(page, origin):
    with pytest.raises(exceptions.InvalidStatus) as refused:
        live(page, origin.format(port=page.port))
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1:1"])
@pytest.mark.parametrize("path", ["", "live"])
def test_a_name_made_to_point_here_gets_nothing(page, host, path):
    with pytest.raises(urllib.error.HTTPError, match="403"):
        get(page, path, Host=host.format(port=page.port))


def test_there_is_nothing_else(page):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(page, "../../etc/passwd")


def test_it_listens_on_this_machine_only(page):
    assert page._socket.getsockname()[0] == "127.0.0.1"
    with pytest.raises(InputError, match=f"cannot be served on port {page.port}"):
        WebPage(Monitor([], EventLog()), [], port=page.port)


@pytest.fixture
def browser(tmp_path):
    browser = Browser(tmp_path / "profile")
    yield browser
    browser.close()


def wait_for_drawing(browser, canvas, pixels):
    """Until more than so many pixels of a drawing are not empty: it comes with the next frame, the text at once."""
    drawing = f"document.getElementById('{canvas}')"
    data = f"{drawing}.getContext('2d').getImageData(0, 0, {drawing}.width, {drawing}.height).data"
    browser.wait(f"{data}.filter((value, index) => index % 4 === 3 && value > 0).length > {pixels}")


def test_a_browser_shows_it(page, browser):
    browser.ask("Page.navigate", url=page.address)
    browser.wait("document.getElementById('bins').textContent === '300'")
    assert browser.value("document.getElementById('title').textContent") == "a rig"
    assert browser.value("document.getElementById('state').className") == "state on"
    assert browser.value("document.title").startswith("a rig")
    assert "x (m)" in browser.value("document.getElementById('legend').textContent")
    assert "hand-over" in browser.value("document.getElementById('budget').textContent")
    assert "in 20 % of bins" in browser.value("document.getElementById('modalities').textContent")
    events = browser.value("document.getElementById('events').textContent")
    assert "field: <b>12 samples</b> never came" in events  # text, never markup
    for canvas in ("trace", "path", "latency"):
        wait_for_drawing(browser, canvas, pixels=200)
    assert browser.screenshot().startswith(b"\x89PNG")


def test_a_browser_says_that_it_waits(browser):
    """Before the first estimate, and when none has come for a second."""
    page = WebPage(Monitor(["spikes"], EventLog()), ["x"], period=0.01)
    try:
        browser.ask("Page.navigate", url=page.address)
        browser.wait("document.getElementById('state').textContent === 'waiting for the first data'")
        assert browser.value("document.getElementById('state').className") == "state wait"
        wait_for_drawing(browser, "trace", pixels=50)
        page.write(estimate(0))
        browser.wait("document.getElementById('state').textContent === 'live'")
        browser.wait("document.getElementById('state').textContent.startsWith('waiting, no estimate for')")
    finally:
        page.close()


def test_axes_are_those_of_most_estimates(page, browser):
    """One estimate far out and intervals without end do not press the others into a line."""
    browser.ask("Page.navigate", url=page.address)
    browser.wait("points.length === 300")

    def extent(values, intervals):
        return json.loads(browser.value(f"JSON.stringify(extent({values}, {intervals}))"))

    usual = extent("points.map((p) => p[1][0])", "[]")
    far = extent("[...points.map((p) => p[1][0]), 1e6, -1e6]", "[1e9, -1e9]")
    assert usual[1] - usual[0] < far[1] - far[0] < 3 * (usual[1] - usual[0])
    assert extent("[]", "[null]") == [0, 1]


def test_a_browser_follows_the_session(page, browser):
    browser.ask("Page.navigate", url=page.address)
    browser.wait("points.length === 300")
    add(page._monitor, 500)
    page.write(estimate(500))
    browser.wait("points.length === 301 && document.getElementById('bins').textContent === '301'")
    page.close()
    browser.wait("document.getElementById('state').className === 'state off'")


def test_another_page_in_the_browser_gets_nothing(page, browser, tmp_path):
    elsewhere = tmp_path / "elsewhere.html"
    elsewhere.write_text(
        f"<script>let heard = 'nothing'; const s = new WebSocket('ws://127.0.0.1:{page.port}/live');"
        "s.onmessage = () => heard = 'all'; s.onerror = () => heard = 'refused';</script>"
    )
    browser.ask("Page.navigate", url=elsewhere.as_uri())
    browser.wait("heard !== 'nothing'")
    assert browser.value("heard") == "refused"
