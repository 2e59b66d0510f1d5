"""A new file with something private in it, for its owner alone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from provisioning.errors import Refused


@contextmanager
def closed_file(path: Path) -> Iterator[BinaryIO]:
    """Give a new, empty file of mode 0600 to write to; what fails inside takes it away again.

    It is there before the act is done that fills it, so that an act is not done in vain. Raises Refused
    when there is a file already or it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Refused(f"{path} is there already: name a new file") from None
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}: name a file in a folder of yours") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            yield file
    except OSError as error:
        path.unlink(missing_ok=True)
        raise Refused(f"{path} cannot be written: {error.strerror}") from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise
