"""What `--help` and Click say, in the language that is used."""

import importlib
import inspect

import click

from workshop.language import N_, _

# Click's own texts, which it looks up by a function of each of its modules.
CLICK = (
    N_("Usage:"),
    N_("Options"),
    N_("Commands"),
    N_("Show this message and exit."),
    N_("Error: {message}"),
    N_("Try '{command} {option}' for help."),
    N_("Invalid value: {message}"),
    N_("Invalid value for {param_hint}: {message}"),
    N_("Missing argument"),
    N_("Missing option"),
    N_("No such option {name!r}."),
    N_("No such command {name!r}."),
    N_("Option {name!r} does not take a value."),
    N_("{value!r} is not a valid {number_type}."),
    N_("{value} is not in the range {range}."),
    N_("{name} {filename!r} does not exist."),
    N_("Aborted!"),
)
MODULES = ("core", "decorators", "exceptions", "formatting", "parser", "termui", "types")


def texts(command):
    """Each text of a command's help, and of those below it: who has it, and the attribute."""
    help_is_made = hasattr(command, "about")  # from texts that it translates by itself
    for name in ("about" if help_is_made else "help", "epilog", "short_help"):
        if getattr(command, name, None):
            yield command, name
    for param in command.params:
        if isinstance(param, click.Option) and param.help:
            yield param, "help"
    for one in getattr(command, "commands", {}).values():
        yield from texts(one)


def written(owner, name):
    """A text of some help as it is in English, without the indentation of its lines."""
    return inspect.cleandoc(getattr(owner, name))


def translate(command):
    """Let a command's help, and whatever Click says, be in the language that is used."""
    for name in MODULES:
        importlib.import_module(f"click.{name}")._ = _
    for owner, name in texts(command):
        setattr(owner, name, _(written(owner, name)))
