"""Text of unknown origin, model names and prompts above all, made harmless for the place where it is shown."""

from __future__ import annotations

__all__ = ["command_data", "command_property", "markdown", "printable"]

_PLAIN = frozenset(" ,.()%+-=/?;'")
"""Besides letters and digits, what means nothing within a line of Markdown."""


def printable(text: str) -> str:
    """One line without control characters: they are shown as escapes, so that no name can colour or forge a line.

    `::` starts a command for a runner of GitHub Actions, wherever a line begins with it, and is shown as an escape too.
    """
    shown = (letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
    return "".join(shown).replace("::", ":\\x3a")


def markdown(text: str) -> str:
    """Text that any Markdown shows as it is: no markup, link, mention, emoji, cell border or HTML.

    Numeric character references never are Markdown's own signs (CommonMark, section 2.5).
    """
    return "".join(
        letter if letter.isalnum() or letter in _PLAIN else f"&#{ord(letter)};" for letter in printable(text)
    )


def command_data(text: str) -> str:
    """The message of a workflow command. Source: `escapeData` of GitHub's actions toolkit."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def command_property(text: str) -> str:
    """The value of a workflow command's property. Source: `escapeProperty` of GitHub's actions toolkit."""
    return command_data(text).replace(":", "%3A").replace(",", "%2C")
