"""Every size that both sides must respect, in one place."""

BODY_MAX_BYTES = 4 * 1024 * 1024
"""A request body, refused by its declared length before it is read."""

FRAME_MAX_BYTES = 1024 * 1024
"""One JPEG frame, after base64."""

FRAME_MAX_PIXELS = 12_000_000
"""One frame's width times height, judged by its header before decoding."""

FRAMES_MAX = 32
"""Frames in one submission: a recording of four movements has 30 at most."""

MOVEMENTS_MAX = 4
"""Movements that one attempt may ask for."""

ENROL_FRAMES_MIN = 3
"""Frames of a new face: one picture alone shows one expression in one light."""

USERNAME_MAX_CHARS = 64
PASSWORD_MAX_CHARS = 72
PASSWORD_MAX_BYTES = 72
"""bcrypt reads no further (bcrypt 5 refuses, older ones cut silently), so a longer one is refused."""

ATTEMPT_TTL_S = 60
"""How long an opened attempt may be submitted."""

CLOCK_SKEW_MAX_S = 120
"""How far a kiosk's UTC clock may differ from the server's."""

JSON_MAX_DEPTH = 8
"""Nesting of a request body; the deepest model needs two."""

JSON_MAX_VALUES = 4096
"""Brackets, braces and commas in a request body; the largest honest one, commas in texts included, has half."""

TICKET_CHARS = 16
"""An enrolment ticket in Crockford's Base32: 80 random bits, where NIST SP 800-63B asks for 64."""

ADMIN_SECRET_CHARS = 25
"""An administrator's secret in Crockford's Base32: 125 random bits, so that a plain hash protects it (ASVS 6.5.2)."""

CHANGE_TTL_S = 600
"""How long a new TOTP secret waits for its first code."""

CONFIRM_TRIES = 5
"""Codes that may be tried against a new TOTP secret."""
