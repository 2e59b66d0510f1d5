"""A site that goes from one model to another with the real network: both let the same people in, and nobody else."""

import io
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from auth_server.accounts import Accounts, NewAccount
from auth_server.domain import Template
from auth_server.face.engine import FaceEngine
from auth_server.face.plugins import FaceRecogniser
from auth_server.face.runtime import modeling
from auth_server.face_migration import FaceMigration
from auth_server.keyring import Keyring
from auth_server.settings import FaceSettings
from auth_server.store.database import Database


class Askew(FaceRecogniser):
    """Another model: the same network, whose numbers stand in another order."""

    def forward(self, img: Any) -> Any:
        """Return one embedding."""
        return np.roll(np.asarray(super().forward(img)), 7).tolist()


@pytest.fixture
def other_engine(engine: FaceEngine, models_folder: Path, monkeypatch: pytest.MonkeyPatch) -> FaceEngine:
    """The engine with the other model, entered into DeepFace's table as any of its own."""
    table: dict[str, Any] = modeling.AVAILABLE_MODELS["facial_recognition"]  # type: ignore[assignment]
    monkeypatch.setitem(table, "Askew", {"any": f"{__name__}.{Askew.__name__}"})
    return FaceEngine(FaceSettings(models=models_folder, recogniser="Askew", threshold=0.578, presence="off"))


@pytest.fixture
def mirrored(astronaut: np.ndarray, jpeg: Callable[[np.ndarray], bytes]) -> bytes:
    """The same person another way: what is looked at later is never the enrolled picture."""
    return jpeg(astronaut[:, ::-1])


def distance(one: Template, other: Template) -> float:
    assert one.model == other.model
    x, y = (np.frombuffer(template.embedding, "<f4") for template in (one, other))
    return float(1 - x @ y)


def test_both_models_know_the_person_while_it_goes_on_and_after(
    database: Database, keyring: Keyring, engine: FaceEngine, other_engine: FaceEngine, portrait: bytes,
    mirrored: bytes, now: datetime,
):  # fmt: skip
    enrolled = engine.enrol([portrait])
    old, new = (Accounts(database, keyring.field, one.model) for one in (engine, other_engine))
    old.add(
        NewAccount(
            username="eileen",
            password_hash=b"$2b$12$hash",
            totp_secret="JBSWY3DPEHPK3PXP",
            totp_last_step=0,
            template=enrolled.template,
            face_png=enrolled.picture_png,
            mac_addresses=frozenset(),
        ),
        now,
    )
    migration = FaceMigration(database=database, accounts=new, model=other_engine.model, now=lambda: now)
    assert migration.migrate(other_engine.reembed).stored == 1
    for server, model in ((old, engine), (new, other_engine)):
        seen = model.observe([mirrored]).template
        assert seen is not None and distance(server.enrolment("eileen").template, seen) < model.threshold
    assert (
        np.frombuffer(old.enrolment("eileen").template.embedding, "<f4")
        @ np.frombuffer(new.enrolment("eileen").template.embedding, "<f4")
        < 0.5
    ), "the numbers of one model tell nothing to the other"
    assert migration.finish() == 1
    seen = other_engine.observe([mirrored]).template
    assert seen is not None and distance(new.enrolment("eileen").template, seen) < other_engine.threshold


def test_a_picture_of_the_release_before_is_embedded_too(other_engine: FaceEngine, portrait: bytes, engine: FaceEngine):
    enrolled = other_engine.enrol([portrait])
    with Image.open(io.BytesIO(enrolled.picture_png)) as image:
        older = io.BytesIO()
        image.crop((8, 8, 120, 120)).save(older, "PNG")
    again = other_engine.reembed(older.getvalue())
    assert distance(again, enrolled.template) < 0.05
    assert again.model != engine.model
