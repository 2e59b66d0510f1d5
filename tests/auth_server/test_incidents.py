"""An incident is logged with its number, its kind and its place, and without a word of the error's text."""

import json

import pytest
import structlog
from structlog.testing import capture_logs

from auth_server.incidents import report_incident

SECRET = "Correct horse 7"


def reported(error, **context):
    with capture_logs() as lines:
        number = report_incident(structlog.get_logger("test"), error, **context)
    (line,) = lines
    return number, line


def raised(error):
    try:
        raise error
    except type(error) as caught:
        return caught


def chained():
    try:
        try:
            raise KeyError(SECRET)
        except KeyError as cause:
            raise ValueError(f"bad value {SECRET!r}") from cause
    except ValueError as error:
        return error


class Spelling(Exception):
    """An error whose text, notes and arguments all quote what it choked on."""

    def __str__(self):
        return SECRET


@pytest.mark.parametrize(
    "make",
    [
        lambda: raised(RuntimeError(f"password={SECRET}")),
        lambda: raised(UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET)),
        lambda: raised(OSError(5, SECRET, SECRET)),
        lambda: raised(Spelling(SECRET)),
        lambda: raised(ExceptionGroup(SECRET, [ValueError(SECRET)])),
        chained,
    ],
)
def test_no_text_of_an_error_is_logged(make):
    error = make()
    error.add_note(SECRET)
    number, line = reported(error, path="/v1/login")
    text = json.dumps(line)
    assert SECRET not in text
    assert "horse" not in text
    assert line["error"] == type(error).__name__
    assert line["path"] == "/v1/login"
    assert line["incident"] == number


def test_it_tells_where_the_error_passed_through():
    _, line = reported(chained())
    assert line["cause"] == "KeyError"
    assert any(place.startswith("test_incidents.py:") and place.endswith(" chained") for place in line["at"])


def test_a_deep_fault_is_cut_to_the_lines_that_matter():
    def down(levels):
        if not levels:
            raise RecursionError
        down(levels - 1)

    with pytest.raises(RecursionError) as caught:
        down(100)
    _, line = reported(caught.value)
    assert len(line["at"]) == 12


def test_every_incident_has_its_own_number():
    numbers = {reported(raised(ValueError()))[0] for _ in range(50)}
    assert len(numbers) == 50
    assert all(len(number) == 8 and int(number, 16) >= 0 for number in numbers)


def test_an_error_that_was_never_raised_is_reported_too():
    _, line = reported(ValueError(SECRET))
    assert (line["error"], line["at"]) == ("ValueError", [])
