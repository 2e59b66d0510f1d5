"""LFW's formats: what is read, and what is refused by its line."""

from pathlib import Path

import pytest

from auth_server.errors import EvaluationRefused
from auth_server.face.lfw import Pair, Portrait, find_portraits, read_pairs

ANN, BOB = Portrait("Ann_Lee", 1), Portrait("Bob", 12)


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("1\nAnn_Lee\t1\t1\nAnn_Lee\t1\tBob\t12\n", [Pair(ANN, ANN, 0), Pair(ANN, BOB, 0)]),
        ("Ann_Lee 1 Bob 12", [Pair(ANN, BOB, 0)]),
        ("\nBob 12 12\n\n", [Pair(BOB, BOB, 0)]),
        ("2 1\nBob 12 12\nBob 12 Ann_Lee 1\nBob 12 12\nBob 12 Ann_Lee 1", [
            Pair(BOB, BOB, 0), Pair(BOB, ANN, 0), Pair(BOB, BOB, 1), Pair(BOB, ANN, 1),
        ]),
    ],
)  # fmt: skip
def test_pairs_are_read_with_their_folds(tmp_path: Path, text: str, pairs: list[Pair]) -> None:
    (tmp_path / "pairs.txt").write_text(text)
    found = read_pairs(tmp_path / "pairs.txt")
    assert found == pairs
    assert [pair.is_genuine for pair in found] == [pair.first.name == pair.second.name for pair in pairs]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has 0 pairs"),
        ("2 300\nBob 12 12\n", "has 1 pairs, and its first line announces 1200"),
        ("Bob 1\n", "line 1: a pair is"),
        ("1\nBob one 2\nBob 1 2", "line 2: a pair is"),
        ("Bob 1 Ann 2 3", "line 1: a pair is"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_what_is_no_list_of_pairs_is_refused(tmp_path: Path, text: str | bytes, said: str) -> None:
    (tmp_path / "pairs.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(EvaluationRefused, match=said):
        read_pairs(tmp_path / "pairs.txt")


def test_a_picture_belongs_to_the_folder_that_has_its_name(tmp_path: Path) -> None:
    names = ["Bob/Bob_0012.jpg", "Ann_Lee/Ann_Lee_0001.jpg", "Bob/Ann_Lee_0002.jpg", "Bob/notes.txt", "Bob_0001.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_portraits(tmp_path) == {ANN: tmp_path / names[1], BOB: tmp_path / names[0]}


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvaluationRefused, match="holds no picture"):
        find_portraits(tmp_path)
