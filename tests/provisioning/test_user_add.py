"""`user add`: nothing is stored before all is known to be good, and the secret is shown once."""

import io
import json
from pathlib import Path

import bcrypt
import pyotp
import pytest
from PIL import Image

from auth_server.accounts import Accounts
from auth_server.domain import Template
from auth_server.errors import ModelsRefused
from demo.qr_reader import read_qr_file
from tests.postgres import IN_A_FILE

MAC = "b8:27:eb:12:34:56"
PASSWORD = "correct Horse 7 battery"


@pytest.fixture
def desk(with_kiosk, engine):
    """A site with a kiosk and a quick engine."""
    with_kiosk.engine = engine
    with_kiosk.parts["load_face_engine"] = lambda _settings: engine
    return with_kiosk


@pytest.fixture
def add(desk, face, password_file):
    """Adds ann; options given twice count for the last one."""

    def run(*more, name="ann", picture=face, kiosk="lobby-1", **options):
        return desk(
            *(
                "user",
                "add",
                name,
                "--vouched",
                "--picture",
                picture,
                "--kiosk",
                kiosk,
                "--password-file",
                password_file,
            ),
            *more,
            **options,
        )

    return run


def enrolment(desk, name="ann"):
    with desk.desk().site() as site:
        return Accounts(site.database, site.keyring.field, "test-model").enrolment(name)


def stored_picture(desk):
    with desk.desk().site() as site:
        return Accounts(site.database, site.keyring.field, "test-model").face_picture("ann")


def test_what_was_given_is_what_the_factors_compare_with(desk, add, tmp_path):
    result = add("--qr-file", tmp_path / "qr.png", name="Änn")
    assert result.exit_code == 0, result.stderr
    stored = enrolment(desk, "änn")
    assert not stored.is_decoy and stored.enabled and stored.face_enabled
    assert bcrypt.checkpw(PASSWORD.encode(), stored.password_hash)
    assert stored.template == Template("test-model", b"\1" * 16)
    assert stored.mac_addresses == {MAC}
    assert pyotp.parse_uri(read_qr_file(tmp_path / "qr.png")).secret == stored.totp_secret
    assert stored.totp_last_step == 0


@IN_A_FILE
def test_the_aligned_face_is_stored_and_not_the_picture(desk, add):
    assert add().exit_code == 0
    assert stored_picture(desk) == b"aligned face"
    database = desk.settings.parent / "store" / "4auth.db"
    assert b"aligned face" not in database.read_bytes()


def test_several_pictures_and_several_kiosks(desk, add, face, new_key):
    desk("kiosk", "add", "lobby-2", "--public-key", new_key(), "--mac", "b8:27:eb:00:00:02")
    assert add("--vouched", "--picture", face, "--kiosk", "lobby-2").exit_code == 0
    assert len(desk.engine.seen) == 2
    assert enrolment(desk).mac_addresses == {MAC, "b8:27:eb:00:00:02"}


def test_the_secret_is_shown_as_a_qr_code_and_not_in_clear(desk, add):
    result = add()
    secret = enrolment(desk).totp_secret
    assert "Scan this with the person's authenticator app. It is shown this once." in result.stdout
    assert result.stdout.count("█") > 100
    assert secret not in result.stdout + result.stderr
    assert PASSWORD not in result.stdout + result.stderr


def test_the_uri_is_printed_only_when_asked_for(desk, add):
    result = add("--show-uri")
    [uri] = [line for line in result.stdout.splitlines() if line.startswith("otpauth://")]
    assert pyotp.parse_uri(uri).secret == enrolment(desk).totp_secret


def test_json_has_the_account_and_how_the_secret_is_handed_out(desk, add, tmp_path):
    result = add("--json", "--qr-file", tmp_path / "qr.png")
    document = json.loads(result.stdout)
    assert document["user"]["username"] == "ann" and document["qr_file"] == str(tmp_path / "qr.png")
    assert enrolment(desk).totp_secret not in result.stdout + result.stderr
    shown = json.loads(add("--json", "--show-uri", "--allow-duplicate", name="bob").stdout)
    assert pyotp.parse_uri(shown["provisioning_uri"]).secret == enrolment(desk, "bob").totp_secret


def test_pictures_may_come_from_a_camera(desk, face, password_file):
    asked = []
    desk.parts["take_pictures"] = lambda index: asked.append(index) or [face.read_bytes()] * 5
    result = desk(
        *("user", "add", "ann", "--camera", "1", "--kiosk", "lobby-1", "--password-file", password_file), typed="\n"
    )
    assert result.exit_code == 0, result.stderr
    assert asked == [1] and len(desk.engine.seen) == 5


def test_the_password_is_asked_for_twice_and_not_echoed(desk, face, typist):
    result = desk(
        *("user", "add", "ann", "--vouched", "--picture", face, "--kiosk", "lobby-1"),
        typed=typist(PASSWORD, "something else", PASSWORD, PASSWORD),
    )
    assert result.exit_code == 0, result.stderr
    assert "The two entered values do not match" in result.stderr
    assert PASSWORD not in result.stdout + result.stderr
    assert bcrypt.checkpw(PASSWORD.encode(), enrolment(desk).password_hash)


def code_from(desk, qr: Path):
    return lambda: pyotp.parse_uri(read_qr_file(qr)).at(desk.clock())


def test_the_account_is_made_when_the_app_shows_the_right_code(desk, add, typist, tmp_path):
    qr = tmp_path / "qr.png"
    result = add("--confirm-code", "--qr-file", qr, typed=typist("000 000", code_from(desk, qr)))
    assert result.exit_code == 0, result.stderr
    assert "That is not the code." in result.stderr
    # The code that proved the secret is spent: nobody who saw it can log in with it.
    assert enrolment(desk).totp_last_step == int(desk.clock().timestamp()) // 30


def test_no_account_is_made_when_no_code_is_right(desk, add, typist, tmp_path):
    qr = tmp_path / "qr.png"
    result = add("--confirm-code", "--qr-file", qr, typed=typist("000000", "111111", "222222"))
    assert result.exit_code == 1
    assert "no right code in 3 tries: nothing was stored" in result.stderr
    assert desk.json("user", "list") == {"users": []}
    assert not qr.exists()


def test_no_account_is_made_when_the_administrator_leaves(desk, add, typist, tmp_path):
    result = add("--confirm-code", "--qr-file", tmp_path / "qr.png", typed=typist("000000"))
    assert result.exit_code == 1 and "Aborted!" in result.stderr
    assert desk.json("user", "list") == {"users": []}
    assert not (tmp_path / "qr.png").exists()


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        ({"name": "ann\0"}, 2, "a name has letters, digits, space and . ' _ @ - only"),
        ({"kiosk": "lobby-9"}, 1, "there is no kiosk lobby-9: `4auth-provision kiosk list` tells which there are"),
        ({"picture": "wall.png"}, 1, "wall.png cannot be enrolled: no face. Use a sharp picture of one face"),
        ({"picture": "password"}, 1, "password is not a picture in JPEG, PNG, WEBP, TIFF, BMP"),
        ({"picture": "none.png"}, 2, "File '{folder}/none.png' does not exist"),
        ({"password": "short7"}, 1, "a password has at least 8 characters"),
        ({"password": "password123"}, 1, "this is a common password"),
        ({"password": "Annabel-ann-4711"}, 1, "a password does not contain the person's own name"),
        ({"password": "my head-office 7"}, 1, "a password does not contain the name of this system or site"),
        ({"password": "ü" * 37}, 1, "a password has at most 72 bytes of UTF-8, this one has 74"),
        ({"more": ["--json"]}, 2, "with --json, give --qr-file or --show-uri: else nobody would learn the secret"),
        ({"more": ["--camera", "0"]}, 2, "give either --picture, once or more, or --camera"),
        ({"more": ["--qr-file", "{folder}/wall.png"]}, 1, "wall.png is there already: name a new file for the QR code"),
        ({"more": ["--qr-file", "{folder}/no/qr.png"]}, 1, "qr.png cannot be written: No such file or directory"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_refused(desk, add, no_face, password_file, options, exit_code, message):
    folder = str(no_face.parent)
    if "password" in options:
        password_file.write_text(options["password"])
    if "picture" in options:
        options = {**options, "picture": Path(folder) / options["picture"]}
    more = [option.format(folder=folder) for option in options.get("more", [])]
    result = add(*more, **{name: options[name] for name in ("name", "picture", "kiosk") if name in options})
    assert result.exit_code == exit_code
    assert message.format(folder=folder) in " ".join(result.stderr.split())
    assert desk.json("user", "list") == {"users": []}
    assert not options.get("password") or options["password"] not in result.stdout + result.stderr


def test_one_name_is_one_person_however_it_is_spelt(desk, add):
    assert add(name="Zoë").exit_code == 0
    before = enrolment(desk, "zoë")
    again = add(name="ZOE\u0308")
    assert again.exit_code == 1
    assert "there is an account zoë already: choose another name" in again.stderr
    assert enrolment(desk, "zoë") == before


def test_missing_models_exit_78(desk, add):
    def load(_settings):
        raise ModelsRefused("models in /there: fr_detect.onnx: is missing; run `4auth-provision models fetch`")

    desk.parts["load_face_engine"] = load
    result = add()
    assert result.exit_code == 78
    assert "run `4auth-provision models fetch`" in result.stderr


def test_the_log_names_the_administrator_the_person_and_the_kiosks_and_no_secret(desk, add, no_face, tmp_path):
    add("--qr-file", tmp_path / "qr.png")
    add(name="bob", picture=no_face)
    stored = enrolment(desk)
    _, _, added, refused = desk.audit_rows()
    assert (added["action"], added["username"], added["success"]) == ("admin.user.add", "ann", True)
    assert added["detail"]["kiosks"] == ["lobby-1"] and added["detail"]["administrator"]
    assert (refused["username"], refused["success"]) == ("bob", False)
    assert "no face" in refused["detail"]["why"]
    log = json.dumps(desk.audit_rows())
    for secret in (stored.totp_secret, PASSWORD, stored.password_hash.decode()):
        assert secret not in log


@pytest.mark.parametrize("secret", ["password", "secret", "uri", "picture"])
def test_nothing_secret_is_in_a_repr(secret):
    from auth_server.second_factor import SecondFactor
    from provisioning.enrolment import Enrolled

    factor = SecondFactor("JBSWY3DPEHPK3PXP", "otpauth://totp/x?secret=JBSWY3DPEHPK3PXP")
    assert "JBSWY3DP" not in repr(factor) + repr(Enrolled(None, factor)), secret


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    """A NASA portrait in the public domain."""
    from skimage import data

    path = tmp_path / "astronaut.png"
    Image.fromarray(data.astronaut()).save(path)
    return path


def test_a_real_portrait_becomes_an_account(with_kiosk, models_folder, portrait, password_file, tmp_path):
    """The same with the real models, from the command line to the stored template."""
    settings = with_kiosk.settings
    settings.write_text(settings.read_text().replace(str(settings.parent / "models"), str(models_folder)))
    wall = tmp_path / "wall.png"
    Image.new("RGB", (640, 480), "white").save(wall)
    common = ("--kiosk", "lobby-1", "--password-file", password_file, "--qr-file", tmp_path / "qr.png")
    refused = with_kiosk("user", "add", "wall", "--vouched", "--picture", wall, *common)
    assert refused.exit_code == 1 and "wall.png cannot be enrolled: no face" in refused.stderr
    added = with_kiosk("user", "add", "eileen", "--vouched", "--picture", portrait, *common)
    assert added.exit_code == 0, added.stderr
    stored = enrolment(with_kiosk, "eileen")
    assert len(stored.template.embedding) == 4 * 512
    with with_kiosk.desk().site() as site:
        png = Accounts(site.database, site.keyring.field, "").face_picture("eileen")
    assert Image.open(io.BytesIO(png)).size == (128, 128)


def test_too_few_pictures_need_an_administrator_who_vouches(desk, face, password_file):
    common = ("--kiosk", "lobby-1", "--password-file", password_file, "--no-confirm-code")
    refused = desk("user", "add", "ann", "--picture", face, *common)
    assert refused.exit_code == 1
    assert "3 pictures or more are needed. Give three to five, with the head turned a little in one" in refused.stderr
    assert desk("user", "add", "ann", *["--picture", face] * 3, *common).exit_code == 0
