"""The page's server: who gets in, what goes out, and that nothing of a session is left."""

import json
import socket
import stat
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import requests

from auth_contract.actions import Action
from kiosk_agent.errors import StartRefused
from kiosk_agent.events import Cancelled, Cleared, Entered, Entries, Erased, MoreTime, NewSecret, Step, Typed
from kiosk_agent.screen.page import PageBackend
from kiosk_agent.screen.page_view import ICONS, members
from kiosk_agent.screen.view import view
from kiosk_agent.session import Session
from kiosk_agent.settings.screens import PageScreen

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
AT_QR = Session(
    Step.QR,
    1,
    Action.RECOVER_TOTP,
    Entries(name="ann", code="12"),
    secret=NewSecret("C" * 22, f"otpauth://totp/ann?secret={SECRET}", 600.0),
    is_spelt=True,
)
AT_CAMERA = Session(Step.FACE, 1, entries=Entries(name="ann"))
WITHIN_S = 10


@pytest.fixture
def serve():
    opened = []

    def start(**settings) -> PageBackend:
        opened.append(PageBackend(PageScreen(kind="page", port=0, **settings)))
        return opened[-1]

    yield start
    for page in opened:
        page.close()


class Browser:
    """Somebody who talks to the page; with a token, as the kiosk's browser does."""

    def __init__(self, page: PageBackend, *, has_token: bool = True) -> None:
        self.root = f"http://127.0.0.1:{page.port}"
        self.http = requests.Session()
        if has_token:
            self.entered = self.http.get(page.url, allow_redirects=False, timeout=WITHIN_S)

    def get(self, path: str, **more) -> requests.Response:
        return self.http.get(self.root + path, timeout=WITHIN_S, **more)

    def post(self, path: str, body: object, **headers: str) -> int:
        headers = {"Origin": self.root, "Content-Type": "application/json"} | headers
        return self.http.post(self.root + path, data=json.dumps(body), headers=headers, timeout=WITHIN_S).status_code

    def seen(self, count: int = 1) -> list[dict]:
        """So many views as they are pushed."""
        found: list[dict] = []
        with self.get("/events", stream=True) as response:
            for line in response.iter_lines(chunk_size=1):
                if line.startswith(b"data: "):
                    found.append(json.loads(line[6:]))
                    if len(found) == count:
                        return found
        return found


ROUTES = ["/", "/events", "/preview", "/static/page.js", "/static/page.css", "/press", "/key", "/no-such"]


@pytest.mark.parametrize("path", ROUTES)
def test_without_the_token_there_is_nothing(path, serve) -> None:
    page = serve(touch="ordered", keyboard=True)
    stranger = Browser(page, has_token=False)
    assert stranger.get(path).status_code == 403
    assert stranger.get(path, cookies={"screen": "A" * 32}).status_code == 403
    assert stranger.post(path, {}) == 403
    assert stranger.get("/enter?token=" + "A" * 32).status_code == 403


def test_the_token_becomes_a_cookie_that_no_script_and_no_other_page_has(serve) -> None:
    page = serve()
    browser = Browser(page)
    assert (browser.entered.status_code, browser.entered.headers["Location"]) == (303, "/")
    cookie = browser.entered.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert browser.get("/").status_code == 200
    assert serve().shown.token != page.shown.token


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example:1", "192.168.1.5:8400"])
def test_another_name_of_this_machine_is_refused(host, serve) -> None:
    """DNS rebinding: a page of somebody else's that resolves to 127.0.0.1."""
    assert Browser(serve()).get("/", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_another_page_cannot_press_keys(origin, serve) -> None:
    page = serve(keyboard=True)
    pressed = []
    page.connect(pressed.append, lambda: None)
    assert Browser(page).post("/key", {"key": "a"}, Origin=origin) == 403
    assert pressed == []


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/static/page.css", "/static/granted.svg", "/no-such"])
def test_every_answer_is_kept_by_nobody_and_loads_nothing_from_elsewhere(path, serve) -> None:
    headers = Browser(serve()).get(path).headers
    assert headers["Cache-Control"] == "no-store"
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy.pop("default-src") == policy.pop("frame-ancestors") == "'none'"
    assert set(policy.values()) == {"'self'", "'none'"}
    assert headers["Referrer-Policy"] == "no-referrer" and headers["X-Content-Type-Options"] == "nosniff"
    assert "Werkzeug" not in headers["Server"] and "Python" not in headers["Server"]


def test_the_page_is_its_own_files_and_names_no_other_place(project_folder) -> None:
    for file in (project_folder / "kiosk_agent" / "screen" / "static").iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text and "style=" not in text.replace("stroke", "") and "onclick" not in text, file.name


@pytest.mark.parametrize("path", ["/static/../page.py", "/static/%2e%2e/page.py", "/static/..%2fpage.py"])
def test_only_the_pages_files_are_served(path, serve) -> None:
    assert Browser(serve()).get(path).status_code == 404


def test_each_step_that_has_an_icon_has_its_file(project_folder) -> None:
    folder = project_folder / "kiosk_agent" / "screen" / "static"
    for name in set(ICONS.values()):
        assert (folder / f"{name}.svg").is_file()


# --- what is pushed


def test_the_newest_view_is_pushed_and_older_ones_are_passed_by(serve) -> None:
    page = serve()
    browser = Browser(page)
    for left_s in (9.0, 8.0, 7.0):
        page.show(view(Session(Step.NAME, 1), left_s))
    assert [shown["seconds_left"] for shown in browser.seen()] == [7]


def test_a_change_is_pushed_to_every_browser(serve) -> None:
    page = serve()
    page.show(view(Session()))
    seen: list[list[dict]] = []
    threads = [threading.Thread(target=lambda: seen.append(Browser(page).seen(2))) for _ in range(2)]
    for thread in threads:
        thread.start()
    while page.shown.watchers < 2:
        threads[0].join(0.01)
    page.show(view(Session(Step.MENU, 1), 25.0))
    for thread in threads:
        thread.join(WITHIN_S)
    assert [[shown["step"] for shown in one] for one in seen] == [["attract", "menu"]] * 2


def test_a_browser_that_takes_nothing_holds_nobody_up(serve) -> None:
    page = serve()
    head = f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{page.port}\r\nCookie: screen={page.shown.token}\r\n\r\n"
    with closing(socket.create_connection(("127.0.0.1", page.port))) as rude:
        rude.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        rude.sendall(head.encode())
        for number in range(2000):
            page.show(view(Session(Step.NAME, 1, entries=Entries(name="n" * (number % 60)))))
        assert Browser(page).seen()[0]["entry"] == "n" * (1999 % 60)


def test_a_program_of_this_machine_cannot_take_all_threads(serve) -> None:
    page = serve()
    before = threading.active_count()
    silent = [socket.create_connection(("127.0.0.1", page.port)) for _ in range(60)]
    try:
        for connection in silent[-5:]:
            connection.settimeout(WITHIN_S)
            assert connection.recv(1) == b"", "turned away at once"
        assert threading.active_count() - before <= 24
    finally:
        for connection in silent:
            connection.close()


# --- nothing is left


def test_a_secret_is_there_while_it_is_shown_and_not_after(serve) -> None:
    page = serve()
    browser = Browser(page)
    page.show(view(AT_QR, 170.0))
    (shown,) = browser.seen()
    assert shown["qr"]["side"] > 20 and shown["secret"].replace(" ", "") == SECRET
    page.show(view(Session()))
    (after,) = browser.seen()
    assert after["qr"] is None and after["secret"] == "" and SECRET[:8] not in json.dumps(after)
    assert "otpauth" not in json.dumps(shown), "the code is drawn by the agent: the page needs no secret for it"


def test_a_password_is_dots_on_its_way_to_the_browser(serve) -> None:
    page = serve()
    page.show(view(Session(Step.PASSWORD, 1, entries=Entries(name="ann", password="Quiet marmot"))))
    (shown,) = Browser(page).seen()
    assert shown["entry"] == "\u2022" * 12 and "marmot" not in json.dumps(shown)


def test_the_camera_is_seen_by_who_stands_before_it_and_by_nobody_later(serve) -> None:
    page = serve(preview_fps=30)
    page.connect(lambda _key: None, lambda: np.full((48, 64, 3), 90, np.uint8))
    browser = Browser(page)
    assert browser.get("/preview").status_code == 404
    page.show(view(AT_CAMERA))
    with browser.get("/preview", stream=True) as stream:
        taken = b""
        for chunk in stream.iter_content(256):
            taken += chunk
            if taken.count(b"\xff\xd8\xff") == 2:
                page.show(view(Session()))
    assert stream.headers["Content-Type"].startswith("multipart/x-mixed-replace")
    assert browser.get("/preview").status_code == 404


def test_a_closed_page_lets_browsers_go_with_nothing(serve, tmp_path: Path) -> None:
    page = PageBackend(PageScreen(kind="page", port=0, url_file=tmp_path / "url"))
    page.show(view(AT_QR, 170.0))
    page.close()
    assert page.shown.view.secret == "" and page.shown.after(0, 0)[1] is None
    assert not (tmp_path / "url").exists()
    assert page._server.socket.fileno() == -1, "nobody listens any more"


# --- the address


def test_the_address_is_written_for_its_owner_alone(serve, tmp_path: Path) -> None:
    page = serve(url_file=tmp_path / "screen.url")
    assert (tmp_path / "screen.url").read_text() == page.url + "\n"
    assert stat.S_IMODE((tmp_path / "screen.url").stat().st_mode) == 0o600
    assert page.shown.token not in repr(page.shown.settings)


def test_an_address_that_cannot_be_written_stops_the_start_and_frees_the_port(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match=r"screen\.url_file .*No such file"):
        PageBackend(PageScreen(kind="page", port=0, url_file=tmp_path / "no" / "url"))


def test_a_port_that_is_taken_stops_the_start(serve) -> None:
    with pytest.raises(StartRefused, match=r"screen\.port \d+ on 127\.0\.0\.1"):
        PageBackend(PageScreen(kind="page", port=serve().port))


# --- keys


@pytest.mark.parametrize(
    ("key", "event"),
    [
        ("a", Typed("a")),
        ("\u00e9", Typed("\u00e9")),
        ("Enter", Entered()),
        ("Backspace", Erased()),
        ("Delete", Cleared()),
        ("Escape", Cancelled()),
        ("Tab", MoreTime()),
        ("Shift", None),
        ("", None),
        ("\x07", None),
    ],
)
def test_a_browsers_keyboard_types_in_development(key, event, serve) -> None:
    page = serve(keyboard=True)
    pressed = []
    page.connect(pressed.append, lambda: None)
    assert Browser(page).post("/key", {"key": key}) == 204
    assert pressed == ([] if event is None else [event])


@pytest.mark.parametrize("body", [{}, {"key": 1}, {"key": "a", "more": 1}, [], "a", None, {"key": "a" * 300}])
def test_what_is_no_key_is_refused(body, serve) -> None:
    page = serve(keyboard=True)
    assert Browser(page).post("/key", body) in {400, 413}


def test_without_the_settings_for_it_there_are_no_keys(serve) -> None:
    page = serve()
    assert Browser(page).post("/key", {"key": "a"}) == 404
    assert Browser(page).post("/press", {"place": "1", "round": 1}) == 404
    assert "pad" not in members(view(Session()))


def test_a_finger_tells_its_place_and_the_agent_knows_the_digit(serve) -> None:
    page = serve(touch="scrambled")
    pressed = []
    page.connect(pressed.append, lambda: None)
    page.show(view(Session(Step.CODE, 1, entries=Entries(name="ann"))))
    browser = Browser(page)
    pad = browser.seen()[0]["pad"]
    assert sorted(pad["digits"]) == list("0123456789")
    assert browser.post("/press", {"place": str(pad["digits"].index("7")), "round": pad["round"]}) == 204
    assert browser.post("/press", {"place": "enter", "round": pad["round"]}) == 204
    assert [event for event in pressed if isinstance(event, Typed | Entered)] == [Typed("7"), Entered()]
    assert browser.post("/press", {"place": "3", "round": pad["round"] - 1}) == 204, "an order that is gone"
    assert browser.post("/press", {"place": "no key", "round": pad["round"]}) == 204
    assert len([event for event in pressed if isinstance(event, Typed)]) == 1
