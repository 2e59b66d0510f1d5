"""Text from outside, made fit for a display, and for a field of `Printable`. Pure."""


def neutral(text: str) -> str:
    """Return the text with each unprintable character (escapes, line ends, bidi marks) as U+FFFD."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
