"""What a Python says that has no packages of its own."""

import subprocess
import sys

# -S leaves out what was installed, as on a machine where nothing was.
fresh_python = [sys.executable, "-I", "-S"]
result = subprocess.run(
    [*fresh_python, "-c", "import quart"], capture_output=True, text=True, check=False
)
print(result.stderr.splitlines()[-1])
