"""Usage: python3 -m workshop COMMAND …

  run [TARGET]   serve a step, or a folder of your own, and reload it when it changes
  start [N]      start an exercise in a folder of your own, websocket/
  check          check what you wrote there, and say what to look at
  docs           serve the docs site
  notebooks      open the notebooks
  test [ARGS…]   run the tests of everything

The first time, this makes an environment in .venv from Pipfile.lock; nothing else on this
machine is changed. After that, `python3 -m workshop --help` lists all commands.
"""

# This file must still parse on Python 3.8, to tell people there which Python they need.
import sys

if sys.version_info < (3, 11):
    sys.exit(
        "The workshop needs Python 3.11 or newer, and this is Python %d.%d (%s)."
        % (sys.version_info[0], sys.version_info[1], sys.executable)
    )

import os

# `python3 -m workshop` at the root and `python3 FOLDER/workshop` from anywhere are the same.
root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[: 0 if sys.flags.safe_path else 1] = [root]
# What PYTHONPATH names may hide Python's own modules.
named = [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep)]
sys.path[1:] = [path for path in sys.path[1:] if path not in named]


def main():
    """Go on in the environment, which is made first if need be."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # its encoding may lack ✓ and …
    from workshop import environment, language, machine

    language.begin(sys.argv[1:])
    if set(sys.argv[1:]) <= {"-h", "--help"} and not environment.is_ready():
        print(__doc__.strip().replace("python3 -m workshop", machine.COMMAND))
    elif sys.argv[1:] == ["doctor"] and not environment.is_ready():  # it must not install anything
        from workshop import doctor

        sys.exit(doctor.main())
    else:
        environment.enter()
        try:
            from workshop import cli
        except ModuleNotFoundError as error:  # somebody has removed it in part
            sys.exit(
                f".venv isn't complete any more ({error}): stop the programs that use it, "
                "delete it, and run this again."
            )
        cli.main()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
