"""What a user is told when something cannot be done."""


class UserError(Exception):
    """A mistake its reader can mend: one line naming the flag or file, its value, the rule and the remedy.

    Entries print it without a traceback and exit with `exit_code`.
    """

    exit_code = 2


class Interrupted(UserError):
    """The user or the system asked the program to stop; the message says how to go on."""

    exit_code = 130
