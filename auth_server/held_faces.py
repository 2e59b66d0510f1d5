"""The templates of one account as they were read: each opened when it is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from auth_server.account_faces import FOLLOWED, MIGRATED, open_further
from auth_server.account_factors import open_of
from auth_server.domain import Template
from auth_server.keyring import FieldCipher


@dataclass(frozen=True, slots=True)
class HeldFaces:
    """The sealed templates of one account, or of the decoy; each call opens one, whatever there is."""

    own: FieldCipher
    owner: str
    enrolled: Template
    further: Mapping[str, Any]

    def template(self, model: str) -> Template:
        """Return the one of a model where there is one, else the enrolled one."""
        if self.enrolled.model == model or MIGRATED not in self.further:
            sealed = self.enrolled.embedding
            return Template(self.enrolled.model, open_of(self.own, "face_template_enc", self.owner, sealed))
        return self._further(model, MIGRATED)

    def followed(self, model: str) -> Template | None:
        """Return the one that good logins moved, or None, which takes as long."""
        if FOLLOWED not in self.further:
            self.template(model)
            return None
        return self._further(model, FOLLOWED)

    @property
    def followed_at(self) -> datetime | None:
        """When it was moved last."""
        return self.further[FOLLOWED].made_at if FOLLOWED in self.further else None

    def _further(self, model: str, kind: str) -> Template:
        token = self.further[kind].template_enc
        return Template(model, open_further(self.own, self.owner, model, kind, token))
