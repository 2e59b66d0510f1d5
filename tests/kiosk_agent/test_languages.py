"""What the screen says in each language: nothing is left in English, and no value is lost or mangled."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from gettext import GNUTranslations, NullTranslations
from io import BytesIO, StringIO
from itertools import product

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from hatchling.builders.wheel import WheelBuilder

from auth_contract.actions import Action, CaptureHint, Movement, Need, Reason
from auth_contract.fields import canonical_password, canonical_permission, canonical_username
from auth_contract.messages import AttemptReply, PendingChange
from auth_server import replies
from auth_server.changes import Glance
from auth_server.errors import PasswordRefused
from auth_server.password_policy import check_new_password
from kiosk_agent import session as machine
from kiosk_agent.errands import BROKEN, UNREACHABLE, UNTRUSTED
from kiosk_agent.events import Cause, Ending, Entries, Key, NewSecret, Outcome, Step, Turned, Typed, Waits
from kiosk_agent.flows import MENUS, PICTURES
from kiosk_agent.heard import HEARD, recognise
from kiosk_agent.hints import HINTS
from kiosk_agent.languages import Speakers
from kiosk_agent.phrases import Counted, Language, Phrase, Speaker
from kiosk_agent.screen import words
from kiosk_agent.screen.columns import width_of, wrap
from kiosk_agent.screen.frame import Frame
from kiosk_agent.screen.terminal import TerminalBackend
from kiosk_agent.screen.view import view
from kiosk_agent.session import Session
from kiosk_agent.settings import TerminalScreen
from scripts.catalogues import LANGUAGES, compiled, po, sentences, template, untranslated, updated

NOW = datetime(2026, 3, 4, 12, 1, tzinfo=UTC)
LABELS = {key: key.name for key in Key}
every_language = pytest.mark.parametrize("language", LANGUAGES)


class Unknown(NullTranslations):
    """Stands behind a catalogue and takes note of what that did not have."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()

    def gettext(self, message: str) -> str:
        self.asked.add(message)
        return message

    def ngettext(self, one: str, many: str, count: int) -> str:
        self.asked.add(one)
        return one


def steps():
    """Every session that can be shown, but for what its entries hold."""
    entries = Entries(name="zo\u00eb", permission="AB")
    for step, action in product(words.STEPS, Action):
        yield Session(step, 1, action, entries=entries)
    yield Session(is_client=True)
    for step in MENUS:
        yield Session(step, 1, problem=Phrase("Press 1 to {last}", last=5))
    secret = NewSecret("c" * 22, "otpauth://totp/4Auth:ann?secret=ABCDEFGH", 600.0)
    yield Session(Step.QR, 1, Action.REGISTER, secret=secret, is_spelt=True)


def recordings():
    movements = tuple(Movement)
    attempt = AttemptReply(attempt_id="A" * 22, nonce="N" * 22, expires_at=NOW, movements=movements[:3])
    for step, part in product(sorted(PICTURES), range(5)):
        yield Session(step, 1, attempt=attempt, part=part, hint=CaptureHint.TURNED)
    for movement in movements:
        yield Session(Step.FACE, 1, attempt=attempt.model_copy(update={"movements": (movement,)}), part=1)
    for step, hint in product(sorted(PICTURES), CaptureHint):
        yield Session(step, 1, hint=hint)
    for taken in range(len(words.POSES)):
        yield Session(Step.ENROL, 1, pictures=taken)


def results():
    ends = (Step.GRANTED, Step.DONE, Step.DENIED, Step.LOCKED, Step.TIMED_OUT, Step.CAPTURE_AGAIN, Step.OUT_OF_SERVICE)
    for step, action, ending in product(ends, sorted(words.DONE), Ending):
        if step is Step.DENIED and ending not in words.NEXT_STEP:
            continue
        outcome = Outcome(ending, "That did not work.", username="zo\u00eb", action=action)
        yield Session(step, 1, outcome=outcome)
    for wait in (None, 0, 1, 2, 3, 11, 100, 3600):
        yield Session(Step.LOCKED, 1, outcome=Outcome(Ending.LOCKED, "That did not work.", retry_after_s=wait))
    down = Outcome(Ending.UNAVAILABLE, BROKEN, cause=Cause.SERVER)
    yield Session(Step.OUT_OF_SERVICE, 1, outcome=down, is_client=True)
    for cause in Cause:
        yield Session(Step.OUT_OF_SERVICE, 1, outcome=Outcome(Ending.UNAVAILABLE, BROKEN, cause=cause))
    for message in (UNREACHABLE, UNTRUSTED, *(Phrase("{message}.", message=hint) for hint in HINTS.values())):
        yield Session(Step.DENIED, 1, outcome=Outcome(Ending.UNAVAILABLE, message))
    for action, needs in product(Action, ((Need.CODE, Need.APPROVAL, Need.TIME), (Need.TIME,))):
        waits = Waits(needs, NOW, NOW if len(needs) == 1 else None)
        yield Session(Step.WAITING, 1, outcome=Outcome(Ending.PENDING, "Approved.", action=action, waits=waits))


@every_language
def test_no_page_says_anything_in_english(language) -> None:
    unknown = Unknown()
    with po(language).with_suffix(".mo").open("rb") as file:
        catalogue = GNUTranslations(file)
    catalogue.add_fallback(unknown)
    frame = Frame(words.DEVELOPMENT, speaker=Speaker(language, catalogue), labels=LABELS, now=NOW, contact="Desk")
    for session in (*steps(), *recordings(), *results()):
        shown = view(session, 9.0, frame)
        assert "{" not in repr(shown.lines) and shown.language is language
    assert unknown.asked <= {"1"}


@every_language
def test_every_sentence_of_the_sources_is_translated(language) -> None:
    assert untranslated(language) == []


@every_language
def test_what_is_read_is_what_the_translators_wrote(language) -> None:
    written = read_po(BytesIO(po(language).read_bytes()), locale=language.value)
    read = read_mo(BytesIO(po(language).with_suffix(".mo").read_bytes()))
    assert texts(written) == texts(read) == texts(updated(language)), "run `make catalogues`"
    assert texts(read) == texts(read_mo(BytesIO(compiled(language))))


def test_the_template_holds_the_sentences_of_today() -> None:
    path = po(Language.GERMAN).parent.parent.parent / "kiosk.pot"
    assert texts(read_po(BytesIO(path.read_bytes()))).keys() == texts(template()).keys(), "run `make catalogues`"


def texts(catalogue: Catalog) -> dict:
    return {first(message.id): all_of(message.string) for message in catalogue if message.id}


def all_of(text) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text or ())


def first(text) -> str:
    return text if isinstance(text, str) else text[0]


@every_language
def test_each_translation_holds_what_its_sentence_holds(language) -> None:
    catalogue = updated(language)
    assert not [message.id for message in read_po(BytesIO(po(language).read_bytes())) if message.fuzzy and message.id]
    for message in catalogue:
        if not message.id:
            continue
        if isinstance(message.id, str):
            assert held(message.string) == held(message.id)
            continue
        assert len(message.string) == catalogue.num_plurals
        # "One" and "two" may be words; every form that is used for several numbers shows its number.
        assert all(held(form) <= held(message.id[1]) for form in message.string)
        assert all(
            held(form) == held(message.id[1]) for form in message.string[-3 if language is Language.ARABIC else -1 :]
        )


def held(text: str) -> set[str]:
    return set(re.findall(r"\{([a-z]*)\}", text))


@pytest.mark.parametrize(
    ("language", "count", "said"),
    [
        (Language.GERMAN, 1, "Versuchen Sie es in 1 Sekunde noch einmal."),
        (Language.GERMAN, 2, "Versuchen Sie es in 2 Sekunden noch einmal."),
        (Language.FRENCH, 0, "R\u00e9essayez dans 0 seconde."),
        (Language.SPANISH, 5, "Vuelva a intentarlo en 5 segundos."),
        (Language.CHINESE, 1, "\u8bf7\u5728 1 \u79d2\u540e\u518d\u8bd5\u3002"),
        (
            Language.ARABIC,
            2,
            "حاول مرة أخرى بعد ثانيتين.",
        ),
    ],
)
def test_numbers_have_the_form_of_the_language(language, count, said) -> None:
    assert Speakers().of(language).say(words.WAIT_SECONDS.of(count)) == said


def test_what_no_catalogue_has_is_said_in_english() -> None:
    speaker = Speakers().of(Language.GERMAN)
    assert speaker.say("A sentence of a newer server.") == "A sentence of a newer server."
    assert speaker.say(Counted("{count} egg", "{count} eggs").of(2)) == "2 eggs"


def test_english_needs_no_catalogue() -> None:
    speaker = Speakers().of(Language.ENGLISH)
    assert [speaker.say(text) for text in sentences()] == list(sentences())


@pytest.mark.parametrize("language", Language)
def test_at_rest_everybody_finds_their_language_by_its_own_name(language) -> None:
    shown = view(Session(), None, Frame(speaker=Speakers().of(language), labels=LABELS))
    [what] = [what for label, what in shown.keys if label == LABELS[Key.CLEAR]]
    assert all(other.own_name in what for other in Language if other is not language)


# --- Arabic, from right to left


def test_a_latin_value_keeps_its_own_direction_within_arabic() -> None:
    frame = Frame(speaker=Speakers().of(Language.ARABIC), labels=LABELS)
    [line] = view(Session(Step.PASSWORD, 1, entries=Entries(name="ann.lee")), None, frame).lines
    assert "\u2068ann.lee\u2069" in line and "\u2068ENTER\u2069" in line
    german = Frame(speaker=Speakers().of(Language.GERMAN), labels=LABELS)
    [line] = view(Session(Step.PASSWORD, 1, entries=Entries(name="ann.lee")), None, german).lines
    assert "\u2068" not in line and "ann.lee" in line


def test_every_direction_that_is_begun_is_ended() -> None:
    for message in updated(Language.ARABIC):
        for form in message.string if isinstance(message.string, tuple) else (message.string,):
            assert form.count("\u2066") + form.count("\u2068") == form.count("\u2069")
            assert not re.search("[\u202a-\u202e\u200e\u200f\u2067]", form)


def test_an_arrow_points_to_the_same_side_in_arabic() -> None:
    """In a line from right to left `<` is drawn as `>`, unless it has a direction of its own."""
    said = Speakers().of(Language.ARABIC).say(words.MOVEMENTS[Movement.TURN_LEFT].title)
    assert said.startswith("\u2066<---\u2069")


def test_nobody_steers_the_direction_by_a_name_or_a_message() -> None:
    frame = Frame(speaker=Speakers().of(Language.ARABIC))
    outcome = Outcome(Ending.DENIED, "Go \u202e away \x1b[2J {enter} {0}")
    shown = view(Session(Step.DENIED, 1, outcome=outcome), None, frame)
    assert shown.lines[0] == "Go \ufffd away \ufffd[2J {enter} {0}"
    problem = Phrase("{message} Please type the code once more", message="\u2069\u202e")
    assert "\u202e" not in view(Session(Step.CODE, 1, problem=problem), None, frame).problem


# --- what comes from the server and the contract


def refused(check, *values: str) -> str:
    with pytest.raises((ValueError, PasswordRefused)) as caught:
        check(*values)
    return str(caught.value)


def server_sentences():
    # What is said to a gateway's clients alone never comes to a kiosk.
    yield from (sentence for reason, sentence in replies.SENTENCES.items() if reason is not Reason.USE_KIOSK)
    yield from replies.HINTS.values()
    yield from replies.IN_FORCE.values()
    for need in Need:
        pending = PendingChange(change_id="c" * 22, needs=(need,), expires_at=NOW)
        yield replies.change_sentence(Action.RECOVER_FACE, pending)
    for action in Action:
        yield replies.login_sentence(Glance(action=action, kiosk_id="lobby-1", is_code_needed=False))
    yield replies.login_sentence(None)


def rules():
    """The rules on what is typed, each as the screen begins it."""
    names = ("", "x" * 65, "a;b", "a\u115f", " a")
    yield from (refused(canonical_username, name) for name in names)
    yield from (refused(canonical_password, text) for text in ("\u00e9" * 40, "x" * 73, "a\x07"))
    yield refused(canonical_permission, "short")
    passwords = ("Ab1", "abcdefgh", "Aa1Aa1Aa1", "Password1", "Ann-Lovelace1", "Xy-4auth-77q")
    yield from (refused(check_new_password, text, "ann lovelace") for text in passwords)


@pytest.mark.parametrize("text", sorted(set(server_sentences())))
def test_the_servers_sentences_are_known(text) -> None:
    assert text in HEARD or recognise(text) is not None
    assert all(Speakers().of(language).say(text) != text for language in LANGUAGES)


@pytest.mark.parametrize("rule", sorted(set(rules())))
def test_the_rules_on_what_is_typed_are_known(rule) -> None:
    text = machine_sentence(rule)
    assert text in HEARD or recognise(text) is not None


def machine_sentence(rule: str) -> str:
    return rule[:1].upper() + rule[1:]


@pytest.mark.parametrize(
    ("action", "member", "rule"),
    [
        (Action.REGISTER, "username", "is the name of an account already: choose another"),
        (Action.APPROVE, "person", "has no request of another kiosk that waits for your approval"),
        (Action.CANCEL, "username", "has no change that could be cancelled"),
        (Action.LOGIN, "action", "login is switched off at this site"),
    ],
)
def test_a_rule_about_a_person_is_said_with_the_name(action, member, rule) -> None:
    session = Session(Step.CHECKING, 1, action, entries=Entries(name="ann", person="ben"))
    after, _ = machine.advance(session, Turned(1, Ending.MALFORMED, "No.", member=member, rule=rule))
    frame = Frame(speaker=Speakers().of(Language.GERMAN))
    shown = view(after, None, frame)
    said = shown.problem or shown.lines[0]
    assert {"username": "ann", "person": "ben", "action": ""}[member] in said
    assert not re.search("name of|no request|no change|switched", said)


def test_a_template_is_recognised_with_its_values_and_nothing_else_is() -> None:
    text = "A supervisor has to approve this at another kiosk before 2026-03-04 12:01 UTC."
    assert recognise(text) == (
        "A supervisor has to approve this at another kiosk before {time}.",
        {"time": "2026-03-04 12:01 UTC"},
    )
    assert recognise("A supervisor has to approve this.") is None
    assert recognise("That did not work.") is None


def test_what_a_person_did_wrong_is_told_in_their_language() -> None:
    frame = Frame(speaker=Speakers().of(Language.FRENCH))
    session, _ = machine.advance(Session(Step.CODE, 1, entries=Entries(name="ann")), Typed("x"))
    assert view(session, None, frame).problem == "Chiffres uniquement"
    assert (
        "64"
        in view(replace(session, problem=Phrase("No more than {longest} characters", longest=64)), None, frame).problem
    )


# --- the terminal


class Paper(StringIO):
    """A terminal of some encoding."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:
        return self._encoding

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
@pytest.mark.parametrize("language", Language)
def test_every_page_fits_a_terminal_of_any_encoding(language, encoding) -> None:
    frame = Frame(speaker=Speakers().of(language), labels=LABELS, now=NOW)
    for session in (*steps(), *[*results()][::9]):
        paper = Paper(encoding)
        shown = view(replace(session, secret=None), 9.0, frame)
        TerminalBackend(TerminalScreen(kind="terminal"), paper).show(shown)
        lines = re.sub("\x1b\\[[0-9;]*[A-Za-z]", "", paper.getvalue()).split("\n")
        if encoding == "utf-8":  # elsewhere a mark without a column of its own becomes a question mark
            assert all(width_of(line) <= 64 for line in lines) and shown.title in paper.getvalue()


def test_the_catalogues_are_packed() -> None:
    project = po(Language.GERMAN).parents[4]
    packed = {file.relative_path for file in WheelBuilder(str(project)).recurse_included_files()}
    for language, form in product(LANGUAGES, ("po", "mo")):
        assert f"kiosk_agent/locale/{language}/LC_MESSAGES/kiosk.{form}" in packed


def test_chinese_lines_are_broken_by_their_columns() -> None:
    text = Speakers().of(Language.CHINESE).say(words.STEPS[Step.PERMISSION].lines[0])
    lines = wrap(text, 40, "  ", "  ")
    assert all(width_of(line) <= 40 for line in lines) and len(lines) > 2
    assert "".join(line[2:] for line in lines).replace(" ", "") == text.replace(" ", "")
    assert not any(line.strip()[0] in "\u3002\uff0c\uff1a\uff1f" for line in lines)


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", 8, ["one two", "three"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("", 10, []),
        ("a  b", 10, ["a  b"]),
        ("\u4f60\u597d\u4f60\u597d", 4, ["\u4f60\u597d", "\u4f60\u597d"]),
    ],
)
def test_lines(text, width, lines) -> None:
    assert wrap(text, width) == lines
