"""Which audit key may sign which line of the checkpoint file. Pure.

A site's audit key changes by a hand-over, a line that the old and the new key sign both. So the key
that is in use today vouches for its predecessor, and that one for its own, back to the first; and
a line counts only if the key signed it that was in force at its place. A retired key that is
stolen later signs nothing any more: its hand-over is bound to its line and to the hash of all rows
before, under a signature that the thief cannot make anew.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from auth_server.audit_chain import Checkpoint
from auth_server.keyring import key_id


@dataclass(frozen=True, slots=True)
class KeyPath:
    """The keys of one log, the first key first, and the hand-overs between them."""

    keys: tuple[Ed25519PublicKey, ...]
    hand_overs: tuple[Checkpoint, ...]

    @property
    def newest(self) -> Ed25519PublicKey:
        """The key that signs the lines to come."""
        return self.keys[-1]

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of the keys, the first key first."""
        return tuple(map(key_id, self.keys))

    def key_at(self, line: int) -> Ed25519PublicKey:
        """Return the key that is in force on a line; a hand-over itself is the old key's."""
        return self.keys[sum(made.line < line for made in self.hand_overs)]

    def fault(self, made: Checkpoint) -> str | None:
        """Return why a line is not one that the key in force signed, or None."""
        key = self.key_at(made.line)
        if made.key_id != key_id(key):
            return (
                f"checkpoint line {made.line} was signed by key {made.key_id!r:.40}, not by this site's {key_id(key)}"
                f"{_retired(made, self.ids)}"
            )
        if not is_signed_by(made, key):
            return f"checkpoint line {made.line} is forged or was changed: its signature is wrong"
        if made.hand_over is not None and made.is_in_its_place and made not in self.hand_overs:
            named = key_id(Ed25519PublicKey.from_public_bytes(made.hand_over.new_key))
            return (
                f"checkpoint line {made.line} hands over to key {named}, which is not this site's: a rotation was "
                "not finished, or the key was stolen before it was retired"
            )
        return None


def key_path(marks: Iterable[Checkpoint], in_use: Ed25519PublicKey, known: Iterable[Ed25519PublicKey] = ()) -> KeyPath:
    """Return the keys that lead to the one in use, as far back as hand-overs tell.

    `marks` are the hand-overs among the lines, in the order of the file. Where the key in use has
    handed over already, to one of the `known`, the path goes on to that one: a rotation was killed
    between its two steps.
    """
    good = [made for made in marks if made.hand_over is not None and _is_whole(made)]
    steps = _back_from(in_use.public_bytes_raw(), good)
    steps += _on_from(in_use.public_bytes_raw(), good, {key.public_bytes_raw() for key in known}, steps)
    raw = [mark.old_key for made in steps if (mark := made.hand_over)]
    last = steps[-1].hand_over if steps else None
    raw.append(last.new_key if last else in_use.public_bytes_raw())
    return KeyPath(tuple(map(Ed25519PublicKey.from_public_bytes, raw)), tuple(steps))


def is_signed_by(made: Checkpoint, key: Ed25519PublicKey) -> bool:
    """Whether a key signed a line."""
    return _verifies(key, made.signature, made)


def is_counter_signed_by(made: Checkpoint, key: Ed25519PublicKey) -> bool:
    """Whether a line is a hand-over to a key, which signed it too."""
    return (
        made.hand_over is not None
        and made.hand_over.new_key == key.public_bytes_raw()
        and _verifies(key, made.countersignature, made)
    )


def _back_from(target: bytes, good: Sequence[Checkpoint]) -> list[Checkpoint]:
    steps: list[Checkpoint] = []
    for made in reversed(good):
        if made.hand_over is not None and made.hand_over.new_key == target:
            steps.insert(0, made)
            target = made.hand_over.old_key
    return steps


def _on_from(
    target: bytes, good: Sequence[Checkpoint], known: set[bytes], before: Sequence[Checkpoint]
) -> list[Checkpoint]:
    after = before[-1].line if before else 0
    steps: list[Checkpoint] = []
    for made in good:
        mark = made.hand_over
        if mark is not None and made.line > after and mark.old_key == target and mark.new_key in known:
            steps.append(made)
            target = mark.new_key
    return steps


def _is_whole(made: Checkpoint) -> bool:
    mark = made.hand_over
    if mark is None or not made.is_in_its_place or mark.old_key == mark.new_key:
        return False
    old, new = (Ed25519PublicKey.from_public_bytes(key) for key in (mark.old_key, mark.new_key))
    return made.key_id == key_id(old) and is_signed_by(made, old) and is_counter_signed_by(made, new)


def _verifies(key: Ed25519PublicKey, signature: bytes, made: Checkpoint) -> bool:
    try:
        key.verify(signature, made.signed_bytes())
    except (InvalidSignature, ValueError):
        return False
    return True


def _retired(made: Checkpoint, ids: Sequence[str]) -> str:
    return ": that key was not in force there" if made.key_id in ids else ""
