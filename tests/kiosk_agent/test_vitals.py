"""How the board does: thermometer and throttling flags, where there are any."""

from pathlib import Path

import pytest

from kiosk_agent.vitals import FLAGS, Vitals


def board(tmp_path: Path, *, temp: str | None = None, throttled: str | None = None) -> Vitals:
    """A /sys with these files."""
    for name, text in (
        ("class/thermal/thermal_zone0/temp", temp),
        ("devices/platform/soc/soc:firmware/get_throttled", throttled),
    ):
        if text is not None:
            (tmp_path / name).parent.mkdir(parents=True)
            (tmp_path / name).write_text(text)
    return Vitals(tmp_path)


@pytest.mark.parametrize(
    ("text", "degrees"), [("48312\n", 48.3), ("-5000", -5.0), ("", None), ("hot", None), (None, None)]
)
def test_the_temperature(text, degrees, tmp_path) -> None:
    assert board(tmp_path, temp=text).temperature_c() == degrees


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0\n", ()),
        ("1", ("under-voltage",)),
        ("50005", ("under-voltage", "throttled", "was under-voltage", "was throttled")),
        ("0x50000", ("was under-voltage", "was throttled")),
        ("f000f", tuple(FLAGS.values())),
        ("80000000", ()),
        ("", ()),
        ("nonsense", ()),
        (None, ()),
    ],
)
def test_what_holds_the_board_back(text, words, tmp_path) -> None:
    assert board(tmp_path, throttled=text).throttled() == words
