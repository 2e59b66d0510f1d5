"""From the typed message of any action to its claims, with the checks of form that need no secret. Pure."""

from typing import Final

from auth_contract.limits import ENROL_FRAMES_MIN
from auth_contract.messages import SubmissionRequest
from auth_server.domain import Claims
from auth_server.errors import Malformed, PasswordRefused
from auth_server.face.frames import check_frame
from auth_server.password_policy import check_new_password

_NOT_CLAIMED: Final = frozenset({"attempt_id"})


def claims_of(message: SubmissionRequest, *, site: str, is_gateway: bool = False) -> Claims:
    """Return what a message of a kiosk or a gateway claims; its members are named as those of `Claims` are.

    Raises Malformed naming the field and the rule: a picture's header is beyond a limit, or a new
    password breaks a rule of the policy, which tells nothing of anybody's account.
    """
    members = {name: getattr(message, name) for name in type(message).model_fields if name not in _NOT_CLAIMED}
    claims = Claims(**members)
    if not is_gateway:
        _check_kiosks_own(claims)
    if claims.marks and len(claims.marks) != len(claims.frames or claims.new_frames):
        raise Malformed("marks", "there is one for each frame, or none")
    for field, frames in (("frames", claims.frames), ("new_frames", claims.new_frames)):
        for index, frame in enumerate(frames):
            check_frame(frame, f"{field}.{index}")
    if claims.new_password:
        try:
            check_new_password(claims.new_password, claims.username, [site])
        except PasswordRefused as error:
            raise Malformed("new_password", error.rule) from None
    return claims


def _check_kiosks_own(claims: Claims) -> None:
    """What a kiosk has to bring, and a gateway with one picture of a client elsewhere cannot."""
    if claims.new_mac is not None:
        raise Malformed("new_mac", "is named by a gateway alone: at a kiosk the account is bound to the kiosk")
    if claims.new_frames and len(claims.new_frames) < ENROL_FRAMES_MIN:
        raise Malformed("new_frames", f"has {ENROL_FRAMES_MIN} frames or more, this one has {len(claims.new_frames)}")
