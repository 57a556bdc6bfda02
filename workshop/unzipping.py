"""A project in a zip, as the page of a step saves it: read with care, since anyone may send one."""

import zipfile
from pathlib import PurePosixPath

from workshop.steps import is_left_by_tools

MOST_FILES = 100
MOST_BYTES = 5_000_000  # of all files, once unzipped


class BadZip(Exception):
    """A file holds no project; the message says why."""


def project_in(path):
    """The files of the project in a zip: relative path to content; raises BadZip.

    The project may be in a folder of the zip; what tools have made is left out.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [info for info in archive.infolist() if not info.is_dir()]
            if len(infos) > MOST_FILES or sum(info.file_size for info in infos) > MOST_BYTES:
                raise BadZip(f"{path} is too large for a project")
            files = {PurePosixPath(info.filename): archive.read(info) for info in infos}
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not a valid zip"
        raise BadZip(f"{path} cannot be read: {why}") from None
    apps = [name for name in files if name.name == "websocket.py"]
    if not apps:
        raise BadZip(f"{path} has no websocket.py in it")
    folder = min(apps, key=lambda name: len(name.parts)).parent
    own = {name.relative_to(folder): files[name] for name in files if name.is_relative_to(folder)}
    for name in own:
        if name.is_absolute() or ".." in name.parts or "\\" in str(name) or ":" in str(name):
            raise BadZip(f"{path} has a file that would be written elsewhere: {name}")
    return {
        name.as_posix(): content
        for name, content in own.items()
        if not is_left_by_tools(name) and not name.match("progress.*")
    }
