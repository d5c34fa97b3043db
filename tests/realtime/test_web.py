"""The live page: over real sockets, and in a real browser."""

import contextlib
import json
import re
import urllib.error
import urllib.request
from time import monotonic, sleep

import numpy as np
import pytest
from oracles.browser import Browser
from oracles.streams import LIMIT

from neurodyn.errors import InputError
from neurodyn.realtime import EventKind, EventLog, LiveEstimate
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
    monitor.log.record(1.5, EventKind.GAP, "field", "<b>12 samples</b> never came")
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
    time, target, lower, upper, stale, unusual = tick["points"][-1]
    assert (stale, unusual) == ([], [])
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


def test_a_point_has_the_flags_of_its_estimate(page):
    page.write(estimate(300)._replace(stale=("spikes",), unusual=("field", "spikes")))
    with live(page, None) as socket:
        socket.recv(LIMIT)
        points = json.loads(socket.recv(LIMIT))["points"]
    assert [point[4:] for point in points[-2:]] == [[[], []], [["spikes"], ["field", "spikes"]]]


def test_the_33rd_page_is_told_that_there_are_32_until_one_is_closed(page):
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(live(page, None)) for _ in range(32)]
        for _ in range(2):
            with pytest.raises(exceptions.InvalidStatus) as refused:
                live(page, None)
            assert refused.value.response.status_code == 503
            assert refused.value.response.body.decode().startswith("32 pages are open already")
        assert get(page)[0] == 200  # the page itself is small and says that it has no connection
        for socket in sockets:
            assert len(all_points(socket, 300)) == 300  # who is there goes on
        sockets[5].close()
        with live(page, None) as socket:
            assert len(all_points(socket, 300)) == 300


def all_points(socket, wanted):
    """Points of the messages that come, until there are so many."""
    found = []
    while len(found) < wanted:
        found += json.loads(socket.recv(LIMIT)).get("points", [])
    return found


def test_the_session_is_looked_at_once_in_a_period_for_all_pages(page, monkeypatch):
    """And not at all for none; every page gets every estimate once, in order, whenever it was opened."""
    asked, status = [], page._monitor.status
    monkeypatch.setattr(page._monitor, "status", lambda: asked.append(monotonic()) or status())
    sleep(0.1)
    assert not asked
    with contextlib.ExitStack() as opened:
        sockets = []
        for index in range(300, 320):
            sockets.append(opened.enter_context(live(page, None)))
            page.write(estimate(index))
        for socket in sockets:
            times = [round(100 * point[0]) for point in all_points(socket, 320)]
            assert times == list(range(320))
    # Twenty pages for a while: a beat in 10 ms at most, and not twenty.
    assert len(asked) > 3
    assert np.diff(asked).min() > 0.009
    assert len(asked) <= (asked[-1] - asked[0]) / 0.01 + 1


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


def test_a_browser_shows_what_is_flagged(page, browser):
    """In words beside the modality, and as marks at the foot of the trace, where there were none."""
    browser.ask("Page.navigate", url=page.address)
    browser.wait("points.length === 300")
    wait_for_drawing(browser, "trace", pixels=200)
    assert browser.value("document.getElementById('legend').textContent").endswith("staleunusual")
    assert "\u00b7" not in browser.value("document.getElementById('modalities').textContent")

    def marks():
        """Whether the colours of both flags stand one above the other at the right end of the trace."""
        found = (
            "(() => {const c = document.getElementById('trace'); return [37, 42].map((up) => '#' + Array.from("
            "c.getContext('2d').getImageData(c.width - 2, c.height - up, 1, 1).data).slice(0, 3).map("
            "(value) => value.toString(16).padStart(2, '0')).join('')).join()})()"
        )
        return browser.value(found) == browser.value("colour('quiet') + ',' + colour('bad')")

    assert not marks()
    for index in range(320, 420, 20):
        page.write(estimate(index)._replace(stale=("field",), unusual=("spikes",)))
    browser.wait("points.length === 305")
    modalities = "document.getElementById('modalities').textContent"
    browser.wait(f"{modalities}.includes('unusual')")
    assert re.search(r"spikes.* \u00b7 unusual.*field.* \u00b7 stale", browser.value(modalities))
    assert marks()


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
