"""The words that both sides and the documents use are closed and consistent."""

import pytest

from auth_contract import paths, signing
from auth_contract.actions import Action, CaptureHint, Reason


def test_every_action_has_a_path_to_submit_to() -> None:
    assert set(paths.SUBMISSION) == set(Action)
    assert len(set(paths.SUBMISSION.values())) == len(Action)


@pytest.mark.parametrize("path", [paths.ATTEMPTS, paths.LOGIN, paths.HEARTBEAT])
def test_signed_paths_need_no_escapes(path: str) -> None:
    assert path.startswith("/v1/")
    assert path.replace("/", "").isalnum()


def test_the_signature_covers_where_how_and_what() -> None:
    assert set(signing.COVERED_COMPONENTS) == {"@method", "@path", "content-type", "content-digest"}


def test_no_reason_names_a_factor() -> None:
    factors = ("password", "totp", "code", "face", "mac", "device", "clock", "time")
    assert not [reason for reason in Reason if any(factor in reason for factor in factors)]


def test_words_are_lower_case_and_distinct() -> None:
    words = [word.value for kind in (Action, Reason, CaptureHint) for word in kind]
    assert all(word.replace("_", "").isalpha() and word.islower() for word in words)
    assert len(set(words)) == len(words)
