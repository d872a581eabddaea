"""The command that makes a number again: its test, and the options of the run that it came out of."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aes_audit.option_table import OPTIONS
from aes_audit.report.results import Entry

__all__ = ["command_of", "options_of"]

_OTHERWISE = frozenset({"--audit-json", "--audit-report", "--audit-bless", "--audit-calibrate"})
"""Options that write something and change no number."""


def options_of(command: Sequence[str]) -> tuple[str, ...]:
    """The options of the suite in a command line, values included, without those that only write."""
    return tuple(_kept(list(command)))


def command_of(entry: Entry, run: Mapping[str, Any]) -> str:
    """What to type, quoted for a shell, to measure this again."""
    test = str(entry.get("test") or f"audits/test_{entry['audit']}.py")
    return shlex.join(["pytest", test, *options_of(run.get("command", ()))])


def _kept(arguments: list[str]) -> Iterator[str]:
    options = {option.flag: option for option in OPTIONS}
    while arguments:
        argument = arguments.pop(0)
        flag, given, _ = argument.partition("=")
        option = options.get(flag)
        if option is None:
            continue
        # A flag that stands alone takes the next word, unless its value may be left out.
        value = [] if given or option.bare is not None or not arguments else [arguments.pop(0)]
        if flag not in _OTHERWISE:
            yield from (argument, *value)
