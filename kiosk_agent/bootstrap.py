"""The composition root: settings in, the parts of an agent out."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

import structlog

from auth_client.addresses import Addresses
from auth_client.client import AuthClient, Surroundings, real_surroundings
from kiosk_agent.assertion import AssertionVerifier
from kiosk_agent.camera import Camera, CameraNeeds, open_camera
from kiosk_agent.disk import disk_fault, disk_of
from kiosk_agent.door import Door, open_door
from kiosk_agent.errands import Errands
from kiosk_agent.guide import open_guide
from kiosk_agent.health import Health
from kiosk_agent.heartbeat import BEAT_TIMEOUT_S, Heartbeat
from kiosk_agent.identity import Identity, check_fit_for_production, load_identity
from kiosk_agent.indicators import Indicators, open_indicators
from kiosk_agent.keypad import Keypad, open_keypad
from kiosk_agent.languages import Speakers
from kiosk_agent.screen import Screen, open_screen
from kiosk_agent.settings import KioskSettings
from kiosk_agent.speech import Speech, open_speech


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that an agent works with."""

    settings: KioskSettings
    identity: Identity
    errands: Errands
    heartbeat: Heartbeat
    health: Health
    camera: Camera
    keypad: Keypad
    screen: Screen
    door: Door
    speech: Speech
    indicators: Indicators
    speakers: Speakers
    around: Surroundings
    close: Callable[[], None]


def build(settings: KioskSettings, around: Surroundings | None = None) -> Services:
    """Return the parts of an agent, opened in an order in which a failure leaves nothing open.

    Raises StartRefused.
    """
    around = around or real_surroundings(timedelta(seconds=settings.clock_offset_s))
    for variant in settings.unsafe_variants:
        structlog.get_logger("kiosk_agent").warning("development_mode", unsafe=variant)
    identity = load_identity(settings)
    if settings.environment == "production":
        check_fit_for_production(identity.read(), settings)
    patience_s = min(settings.server.read_timeout_s, BEAT_TIMEOUT_S)
    for_beats = settings.server.model_copy(update={"read_timeout_s": patience_s})
    addresses = Addresses(settings.server, around.monotonic)
    client, beats = (
        AuthClient(server, settings.kiosk_id, identity.key, around, addresses)
        for server in (settings.server, for_beats)
    )
    health = Health(around.monotonic)
    needs = CameraNeeds(around.monotonic, around.sleep)
    guide = open_guide(settings.capture.models)
    with ExitStack() as opened:
        opened.callback(client.close)
        opened.callback(beats.close)
        camera = open_camera(settings.camera, needs)
        opened.callback(camera.close)
        door = open_door(settings.door, settings.kiosk_id, health.note_door)
        opened.callback(door.close)
        indicators = open_indicators(settings.indicators)
        opened.callback(indicators.close)
        screen = open_screen(settings.screen)
        opened.callback(screen.close)
        speech = open_speech(settings.speech)
        opened.callback(speech.close)
        keypad = open_keypad(settings.keypad, is_production=settings.environment == "production")
        opened.callback(keypad.close)
        verifier = AssertionVerifier(client.jwks, site=settings.site, kiosk_id=settings.kiosk_id)
        return Services(
            settings=settings,
            identity=identity,
            errands=Errands(client, verifier, camera, settings.capture, identity, around, health, guide),
            heartbeat=Heartbeat(
                beats,
                identity,
                around,
                health,
                camera,
                settings.unsafe_variants,
                settings.server.heartbeat_s,
                lambda: disk_fault(disk_of(settings.key_file.parent), is_read_only=settings.read_only_root),
            ),
            health=health,
            camera=camera,
            keypad=keypad,
            screen=screen,
            door=door,
            speech=speech,
            indicators=indicators,
            speakers=Speakers(),
            around=around,
            close=opened.pop_all().close,
        )
