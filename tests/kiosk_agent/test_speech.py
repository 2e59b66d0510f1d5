"""What is said aloud: titles, lines and problems when they change, and never what somebody typed."""

import shutil
import stat
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from auth_contract.actions import Action, Movement
from auth_contract.messages import AttemptReply
from kiosk_agent.errors import BackendRefused
from kiosk_agent.events import Cause, Ending, Entries, Key, NewSecret, Outcome, Step
from kiosk_agent.hardware import PARTS, Options, check
from kiosk_agent.languages import Speakers
from kiosk_agent.phrases import Language
from kiosk_agent.screen.frame import Frame, View
from kiosk_agent.screen.view import view
from kiosk_agent.session import Session
from kiosk_agent.settings import EspeakSpeech, NoSpeech
from kiosk_agent.speech import open_speech
from kiosk_agent.speech.checking import check_speech
from kiosk_agent.speech.espeak import VOICES, EspeakBackend
from kiosk_agent.speech.prompt import Prompt, prompt
from tests.kiosk_agent.test_languages import NOW

SECRET = "ABCDEFGH"
URI = f"otpauth://totp/4Auth:ann?secret={SECRET}"
LABELS = {Key.ENTER: "Enter", Key.MORE: "Tab", Key.CANCEL: "Esc"}
REST = Session()


def at(step: Step, **more) -> Session:
    return Session(step, 1, **more)


def shown(session: Session, left_s: float | None = 25.0, language: Language = Language.ENGLISH) -> View:
    return view(session, left_s, Frame(speaker=Speakers().of(language), labels=LABELS))


def said(before: Session, now: Session, **more) -> str | None:
    """What is said when one session follows another; None where nothing new is."""
    found = prompt(shown(before), shown(now), str, **more)
    return None if found is None else found.text


def ended(step: Step, ending: Ending, **more) -> Session:
    return Session(step, 1, outcome=Outcome(ending, "That did not work.", **more))


NAME = at(Step.NAME, entries=Entries(name="an"))
PASSWORD = at(Step.PASSWORD, entries=Entries(name="ann"))
TYPED = at(Step.PASSWORD, entries=Entries(name="ann", password="hunter2"))
QR = at(Step.QR, action=Action.REGISTER, secret=NewSecret("c" * 22, URI, 600.0))
GRANTED = ended(Step.GRANTED, Ending.GRANTED, username="ann")
DOWN = ended(Step.OUT_OF_SERVICE, Ending.KEYPAD_FAULT, cause=Cause.KEYPAD)
HELLO = "Your password. Hello ann. Type your password, then press Enter."

TABLE = [
    # The first page begins with the welcome; at rest there is silence.
    (REST, REST, None),
    (REST, NAME, "Welcome. Your name. Type your name, then press Enter."),
    (NAME, PASSWORD, HELLO),
    # Keys: a word for each, the same for all.
    (NAME, replace(NAME, entries=Entries(name="ann")), "Dot."),
    (TYPED, PASSWORD, "Erased."),
    (TYPED, replace(TYPED, problem="Please enter your password"), "Please enter your password."),
    (replace(TYPED, problem="No"), replace(TYPED, problem="No"), None),
    # Results are said to their end though the page is gone; what was left falls silent.
    (TYPED, GRANTED, "Welcome, ann. That did not work. The door is open."),
    (GRANTED, REST, None),
    (TYPED, REST, ""),
    (DOWN, REST, None),
    # Nobody is there to hear of a fault but the person whose session it ends.
    (REST, DOWN, None),
    (DOWN, DOWN, None),
    (TYPED, DOWN, "Out of service. Its keypad does not answer. This kiosk comes back by itself."),
]


@pytest.mark.parametrize(("before", "now", "text"), TABLE)
def test_what_is_said(before, now, text) -> None:
    assert said(before, now) == text


def test_a_menu_is_said_with_its_numbers() -> None:
    text = said(at(Step.MENU), at(Step.RECOVERY))
    assert text is not None
    assert text.startswith("What did you lose? 1: I lost my authenticator app. 2: I forgot my password.")
    assert "5: Back." in text


def test_nothing_is_said_before_the_second_view() -> None:
    assert prompt(None, shown(NAME), str) is None


def test_each_movement_is_said_without_its_arrow() -> None:
    movements = (Movement.TURN_LEFT, Movement.COME_CLOSER)
    attempt = AttemptReply(attempt_id="A" * 22, nonce="N" * 22, expires_at=NOW, movements=movements)
    parts = [at(Step.FACE, attempt=attempt, part=part) for part in range(3)]
    assert said(parts[0], parts[1]) == "Turn your head to the left. To your own left. Movement 1 of 2."
    assert said(parts[1], parts[2]) == "Come closer to the camera. By a hand's width. Movement 2 of 2."
    arabic = [shown(part, language=Language.ARABIC) for part in parts]
    found = prompt(arabic[0], arabic[1], str)
    assert found is not None and "<" not in found.text and found.language is Language.ARABIC


def test_a_count_that_runs_down_is_not_said() -> None:
    locked = ended(Step.LOCKED, Ending.LOCKED, retry_after_s=30)
    frames = [Frame(since_s=since_s) for since_s in (0.0, 1.0, 28.9, 30.0)]
    views = [view(locked, None, frame) for frame in frames]
    assert len({one.lines for one in views}) > 2
    assert [prompt(before, now, str) for before, now in pairwise(views)] == [None] * 3


@pytest.mark.parametrize(
    ("language", "text"),
    [
        (Language.ENGLISH, "10 seconds left. Press Tab for more time."),
        (Language.GERMAN, "Noch 10 Sekunden. Dr\u00fccken Sie Tab f\u00fcr mehr Zeit."),
    ],
)
def test_ten_seconds_before_the_end_people_are_told_once(language, text) -> None:
    views = [shown(PASSWORD, left_s, language) for left_s in (11.5, 10.4, 9.6, 8.6, 1.0)]
    say = Speakers().of(language).say
    found = [prompt(before, now, say) for before, now in pairwise(views)]
    assert [one.text if one else None for one in found] == [None, text, None, None]


def test_without_a_key_for_more_time_none_is_named() -> None:
    before, now = (view(PASSWORD, left_s, Frame(labels={Key.ENTER: "E"})) for left_s in (11.0, 10.0))
    found = prompt(before, now, str)
    assert found is not None and found.text == "10 seconds left."


# --- what must never be said


@pytest.mark.parametrize("before", [REST, NAME, PASSWORD, QR])
@pytest.mark.parametrize("is_revealed", [False, True])
def test_no_entry_is_ever_said(before, is_revealed) -> None:
    frame = Frame(labels=LABELS, reveals=True)
    for step, field in ((Step.PASSWORD, "password"), (Step.CODE, "code"), (Step.PERMISSION, "permission")):
        now = at(step, entries=Entries(name="ann", **{field: "QZ7749"}), is_revealed=is_revealed)
        found = prompt(view(before, 25.0, frame), view(now, 25.0, frame), str, speaks_secret=True)
        assert found is None or not set("QZ79") & set(found.text)


def test_a_name_is_not_said_while_it_is_typed() -> None:
    assert said(REST, at(Step.NAME, entries=Entries(name="qqq"))) == (
        "Welcome. Your name. Type your name, then press Enter."
    )


def test_a_new_secret_is_said_only_where_it_is_allowed_and_asked_for() -> None:
    spelt = replace(QR, is_spelt=True)
    assert said(QR, spelt) is None
    assert said(NAME, QR, speaks_secret=True) == said(NAME, QR)
    assert said(QR, spelt, speaks_secret=True) == "A, B, C, D, E, F, G, H."
    for text in (said(NAME, QR), said(NAME, spelt)):
        assert text is not None and SECRET not in text and "A, B" not in text and "otpauth" not in text


def test_a_prompt_hides_its_text_in_logs() -> None:
    assert "hunter2" not in repr(Prompt("hunter2"))


# --- the synthesiser


def test_silence_is_a_backend() -> None:
    speech = open_speech(NoSpeech(kind="none"))
    speech.follow(shown(NAME))
    speech.close()


def test_every_language_has_a_voice() -> None:
    assert set(VOICES) == set(Language)


def test_a_program_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(BackendRefused, match="install the package espeak-ng"):
        open_speech(EspeakSpeech(kind="espeak", program=tmp_path / "none"))


def program(folder: Path, body: str) -> Path:
    """A stand-in for espeak-ng, which remembers how it was called."""
    path = folder / "espeak"
    path.write_text(f'#!/bin/sh\necho "$@" >> "{folder}/calls"\n{body}\n', encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def wait_for(condition) -> bool:
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def heard(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def test_the_text_is_no_argument_and_the_settings_are(tmp_path) -> None:
    settings = EspeakSpeech(
        kind="espeak", program=program(tmp_path, f'cat >> "{tmp_path}/said"'), rate=180, volume=60, device="plughw:1"
    )
    speech = EspeakBackend(settings)
    speech.follow(shown(REST))
    speech.follow(shown(NAME, language=Language.ARABIC))
    assert wait_for(lambda: "Enter" in heard(tmp_path / "said"))
    speech.close()
    assert heard(tmp_path / "calls") == "--stdin -b 1 -s 180 -a 60 -d plughw:1 -v ar\n"
    assert not any(mark in heard(tmp_path / "said") for mark in "\u2066\u2068\u2069")


def test_a_synthesiser_that_hangs_is_ended_by_the_next_prompt_and_holds_nobody_up(tmp_path) -> None:
    body = f'read text; echo "$text" >> "{tmp_path}/said"; exec sleep 600'
    speech = EspeakBackend(EspeakSpeech(kind="espeak", program=program(tmp_path, body)))
    speech.follow(shown(REST))
    began = time.monotonic()
    for session in (NAME, PASSWORD, replace(PASSWORD, problem="No more than 72 characters")):
        speech.follow(shown(session))
    assert time.monotonic() - began < 1
    assert wait_for(lambda: "No more than 72" in heard(tmp_path / "calls") + heard(tmp_path / "said"))
    speech.close()
    assert not speech._thread.is_alive()


def test_a_synthesiser_that_is_gone_leaves_the_kiosk_silent(tmp_path) -> None:
    path = program(tmp_path, "true")
    speech = EspeakBackend(EspeakSpeech(kind="espeak", program=path))
    path.unlink()
    for session in (REST, NAME, PASSWORD):
        speech.follow(shown(session))
    assert wait_for(lambda: "No such file" in speech.problem)
    speech.close()
    assert not speech._thread.is_alive()


def test_a_synthesiser_that_fails_says_how(tmp_path) -> None:
    speech = EspeakBackend(EspeakSpeech(kind="espeak", program=program(tmp_path, "cat >/dev/null; exit 3")))
    speech.follow(shown(REST))
    speech.follow(shown(NAME))
    assert wait_for(lambda: speech.problem == "it ended with exit code 3")
    speech.close()


def test_the_command_for_the_hardware_speaks_and_tells_of_a_fault(make_settings, tmp_path) -> None:
    assert check(PARTS["speech"], make_settings(), Options()).facts == {"said": "nothing, it is switched off"}
    speech = {"kind": "espeak", "program": str(program(tmp_path, f'cat >> "{tmp_path}/said"; exit 1'))}
    settings = make_settings(speech=speech, screen={"kind": "terminal", "language": "fr"})
    found = check_speech(settings, Options(), lambda _: wait_for(lambda: "nom" in heard(tmp_path / "said")))
    assert found.facts["said"].startswith("Votre nom: Saisissez votre nom")
    assert "Votre nom. Saisissez votre nom" in heard(tmp_path / "said")


needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed here")


def sound(path: Path) -> np.ndarray:
    """What a WAV file holds so far, from the end of its header of 44 bytes."""
    data = path.read_bytes()[44:]
    return np.frombuffer(data[: len(data) // 2 * 2], dtype=np.int16)


@needs_espeak
def test_each_language_is_heard_and_sounds_like_no_other(tmp_path) -> None:
    sounds = {}
    for language in Language:
        path = tmp_path / f"{language}.wav"
        speech = EspeakBackend(EspeakSpeech(kind="espeak"), ("-w", str(path)))
        speech.follow(shown(REST, language=language))
        speech.follow(shown(PASSWORD, language=language))
        assert wait_for(lambda path=path: path.exists() and sound(path).size > 20_000)
        speech.close()
        sounds[language] = sound(path)
    assert all(np.abs(one.astype(int)).max() > 3_000 for one in sounds.values())
    assert len({one.tobytes() for one in sounds.values()}) == len(Language)
