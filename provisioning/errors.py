"""The command's own errors. Each message says what was wrong and what to do.

ProvisioningError
├── Refused          the command was understood and not carried out; exit 1
└── NotOpened        the site's database cannot be opened; exit 78, as the server does

Errors of the server's own tree pass through: a StartRefused exits 78, any other 1.
"""

from auth_server.errors import AuthServerError, StartRefused

EXIT_DONE = 0
EXIT_REFUSED = 1
EXIT_SETTINGS = 78
"""sysexits.h EX_CONFIG: settings, keys, database or models must be mended first."""


class ProvisioningError(Exception):
    """Base of all errors that this program raises on purpose."""


class Refused(ProvisioningError):
    """The command was understood and not carried out, or a check found something wrong."""


class NotOpened(ProvisioningError):
    """The site's database is missing, damaged or of another schema, and must be mended first."""


def exit_code(error: ProvisioningError | AuthServerError) -> int:
    """Return the exit code that an error ends the program with."""
    return EXIT_SETTINGS if isinstance(error, StartRefused | NotOpened) else EXIT_REFUSED
