"""A whole server in one process stands behind a gateway's tests, as behind the pipeline's."""

from tests.auth_server.pipeline.conftest import password_hash, sections, site

__all__ = ["password_hash", "sections", "site"]
