"""The machines that a kit can be for: which wheels run there, and which packages they need."""

from dataclasses import dataclass

from packaging.markers import Marker

# pip takes a platform as it is named, so an older system's wheels have to be named, too.
MANYLINUX = [*(f"manylinux_2_{minor}" for minor in range(28, 4, -1)), "manylinux2014"]
MANYLINUX += ["manylinux2010", "manylinux1"]
WINDOWS = {"os_name": "nt", "sys_platform": "win32", "platform_system": "Windows"}
MACOS = {"os_name": "posix", "sys_platform": "darwin", "platform_system": "Darwin"}
LINUX = {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux"}


@dataclass(frozen=True)
class Target:
    """A kind of machine."""

    name: str  # "Windows (x86-64)"
    platforms: tuple[str, ...]  # as pip names them, the best first
    variables: tuple[tuple[str, str], ...]  # what markers ask for, but for the Python

    def needs(self, marker, python):
        """Whether a package with this marker, or None, is needed on some Python 3.X.Y here."""
        return not marker or any(
            Marker(marker).evaluate({**dict(self.variables), **of_python(full)})
            for full in (f"{python}.0", f"{python}.99")
        )


def of_python(full):
    """What markers ask for of a Python, such as "3.12.0"."""
    return {
        "python_version": full.rpartition(".")[0],
        "python_full_version": full,
        "implementation_name": "cpython",
        "implementation_version": full,
        "platform_python_implementation": "CPython",
    }


def target(name, variables, machine, *platforms):
    """A Target whose machine is called so in markers."""
    return Target(name, platforms, tuple({**variables, "platform_machine": machine}.items()))


# What --for names, with the machines that it stands for.
SYSTEMS = {
    "windows": [
        target("Windows (x86-64)", WINDOWS, "AMD64", "win_amd64"),
        target("Windows (arm64)", WINDOWS, "ARM64", "win_arm64"),
    ],
    "macos": [
        target("macOS (Apple silicon)", MACOS, "arm64", "macosx_11_0_arm64"),
        target("macOS (Intel)", MACOS, "x86_64", "macosx_11_0_x86_64"),
    ],
    "linux": [
        target("Linux (x86-64)", LINUX, "x86_64", *(f"{name}_x86_64" for name in MANYLINUX)),
        target("Linux (arm64)", LINUX, "aarch64", *(f"{name}_aarch64" for name in MANYLINUX)),
    ],
}
