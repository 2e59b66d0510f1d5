"""What was found is remembered through any end of the run, for the same models alone, by one run at a time."""

from pathlib import Path

import pytest

from auth_server.errors import EvaluationRefused
from auth_server.face import ledger


def test_what_was_put_is_there_again(tmp_path: Path) -> None:
    with ledger.opened(tmp_path, "pictures", "model") as found:
        found.put("a", {"code": None, "faces": 1})
    with ledger.opened(tmp_path, "pictures", "model") as found:
        assert found["a"] == {"code": None, "faces": 1}
        assert "b" not in found


@pytest.mark.parametrize("names", [("pictures", "another"), ("recordings", "model"), ("pictures", "model", "more")])
def test_other_models_begin_anew(tmp_path: Path, names: tuple[str, ...]) -> None:
    with ledger.opened(tmp_path, "pictures", "model") as found:
        found.put("a", {})
    with ledger.opened(tmp_path, *names) as found:
        assert "a" not in found


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_line_that_was_cut_off_is_forgotten_and_nothing_else(tmp_path: Path, cut: int) -> None:
    with ledger.opened(tmp_path, "pictures", "model") as found:
        found.put("a", {"faces": 1})
        found.put("b", {"faces": 2})
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-cut])
    with ledger.opened(tmp_path, "pictures", "model") as found:
        assert "a" in found
        assert ("b" in found) == (cut == 1)  # of which only the end of the line is missing
        found.put("c", {"faces": 3})
    with ledger.opened(tmp_path, "pictures", "model") as found:
        assert {key for key in "abc" if key in found} == ({"a", "b", "c"} if cut == 1 else {"a", "c"})


def test_what_is_written_is_there_before_the_file_is_closed(tmp_path: Path) -> None:
    with ledger.opened(tmp_path, "pictures", "model") as found:
        found.put("a", {"faces": 1})
        (file,) = tmp_path.iterdir()
        assert file.read_text() == '{"key":"a","faces":1}\n'


def test_it_is_its_owners_alone(tmp_path: Path) -> None:
    with ledger.opened(tmp_path / "work", "pictures"):
        assert (tmp_path / "work").stat().st_mode & 0o777 == 0o700
        (file,) = (tmp_path / "work").iterdir()
        assert file.stat().st_mode & 0o777 == 0o600


def test_two_runs_do_not_share_it(tmp_path: Path) -> None:
    with (
        ledger.opened(tmp_path, "pictures"),
        pytest.raises(EvaluationRefused, match="another run is at work"),
        ledger.opened(tmp_path, "pictures"),
    ):
        raise AssertionError("unreachable")


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with ledger.opened(None, "pictures") as found:
        found.put("a", {"faces": 1})
        assert found["a"] == {"faces": 1}
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EvaluationRefused, match="cannot be used"), ledger.opened(tmp_path / "file", "pictures"):
        raise AssertionError("unreachable")
