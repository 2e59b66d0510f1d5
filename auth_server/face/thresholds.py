"""The thresholds in force: from the calibration that the settings name, as long as it is for what they choose."""

from dataclasses import dataclass

from auth_server.errors import SettingsRefused
from auth_server.face.calibration import Calibration, load
from auth_server.face.pipeline import identity_of, presence_name
from auth_server.settings import FaceSettings


@dataclass(frozen=True, slots=True)
class Thresholds:
    """`match` and `one_person_max` are cosine distances, `presence` is None where the look is not judged."""

    match: float
    one_person_max: float
    presence: float | None


def thresholds_of(settings: FaceSettings) -> Thresholds:
    """Return the thresholds of these settings.

    `face.threshold`, where it is set, stands above the calibrated one. Raises SettingsRefused for a
    calibration of another model, detector, alignment, fusion or presence model than are in use.
    """
    calibrated = calibration_of(settings)
    presence = load(settings.calibration).presence_threshold if settings.is_passive else None
    if settings.threshold is None and calibrated is not None:
        return Thresholds(calibrated.threshold, calibrated.one_person_max, presence)
    if settings.threshold is None:
        raise SettingsRefused(
            f"face.threshold is not set, and no calibration is known for face.recogniser = {settings.recogniser!r} "
            f"with face.detector = {settings.detector!r}: measure one with `4auth-provision face calibrate`, "
            "or set the cosine distance"
        )
    loosest = calibrated.one_person_max if calibrated else settings.threshold
    return Thresholds(settings.threshold, max(loosest, settings.threshold), presence)


def calibration_of(settings: FaceSettings) -> Calibration | None:
    """Return the calibration for what the settings choose; None where only the package's own is at hand, for others.

    Raises SettingsRefused for a named file that is for others, and for one of another presence model.
    """
    found = load(settings.calibration)
    differences = found.identity.differences(identity_of(settings))
    if differences and settings.calibration is not None:
        raise SettingsRefused(
            f"face.calibration = {str(settings.calibration)!r} was measured with {'; '.join(differences)}, which is "
            "in use: a threshold belongs to all of them together; measure anew with `4auth-provision face calibrate`"
        )
    if settings.is_passive and found.presence_model != presence_name():
        raise SettingsRefused(
            f"face.calibration = {str(settings.calibration)!r}: its presence threshold was measured with "
            f"{found.presence_model!r}, not {presence_name()!r}, which is in use; measure anew with "
            "`4auth-provision face calibrate --live GLOB --attack GLOB`"
        )
    return None if differences else found
