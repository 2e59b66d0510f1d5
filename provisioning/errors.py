"""The command's own errors. Each message says what was wrong and what to do.

ProvisioningError
└── Refused          the command was understood and not carried out; exit 1

Errors of the server's own tree pass through: a StartRefused exits 78, any other 1.
"""

from auth_server.errors import AuthServerError, StartRefused

EXIT_DONE = 0
EXIT_REFUSED = 1
EXIT_SETTINGS = 78
"""sysexits.h EX_CONFIG: settings, keys or models must be put right first."""


class ProvisioningError(Exception):
    """Base of all errors that this program raises on purpose."""


class Refused(ProvisioningError):
    """The command was understood and not carried out, or a check found something wrong."""


def exit_code(error: ProvisioningError | AuthServerError) -> int:
    """Return the exit code that an error ends the program with."""
    return EXIT_SETTINGS if isinstance(error, StartRefused) else EXIT_REFUSED
