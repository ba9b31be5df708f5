"""Files in a folder by name: whole or not there, never a link, written under the folder's lock."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from safebasin.errors import RunError
from safebasin.run import sealed, strictjson
from safebasin.run.atomic import cannot_write, make_folder, read_plain, refuse_link, write_atomic
from safebasin.run.file_shapes import FILES
from safebasin.run.names import inner_path
from safebasin.run.provenance import hide_json
from safebasin.run.records import DamagedError
from safebasin.run.typed import what_is_wrong
from safebasin.terminal import printable

if TYPE_CHECKING:
    from filelock import BaseFileLock


class StoredFiles:
    """What lies in a run folder beside its records, such as figures and what was derived.

    `kept` are the first parts of names that only the records may have.
    """

    kept: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, path: Path, lock: BaseFileLock | None) -> None:
        self.path = path
        self._lock = lock

    def write_json(self, name: str, value: object) -> None:
        """Store a JSON value under a name such as `landscape.json`, an object with its digest.

        Raises:
            ValueError: It holds a number that is not finite.
            RunError: The name leaves the folder or is taken, or the file cannot be written.
        """
        self._write_extra(name, pretty(sealed.seal(hide_json(value))))

    def read_json(self, name: str) -> Any:
        """The value that `write_json` stored, or None where there is none.

        Raises:
            RunError: The file is damaged, or was changed after it was written, or one that
                safebasin itself writes holds something else.
        """
        path = self._inside(name)
        try:
            value = sealed.unseal(strictjson.loads(read_plain(path)))
            if (shape := FILES.get(name)) is not None and (wrong := what_is_wrong(shape, value)):
                raise DamagedError(1, wrong)
            return value
        except FileNotFoundError:
            return None
        except DamagedError as error:
            raise RunError(
                f"{printable(str(path))} is damaged: it {error.what}.",
                "Remove the file and run the same command again; it is made from the records.",
            ) from None
        except ValueError as error:
            raise RunError(
                f"{printable(str(path))} is damaged: it is not strict JSON ({error}).",
                "Remove the file and run the same command again; it is made from the records.",
            ) from None

    def write_text(self, name: str, text: str) -> None:
        """Store a text file, such as a figure or a list of words, as UTF-8.

        Raises:
            RunError: The name leaves the folder or is taken, or the file cannot be written.
        """
        self._write_extra(name, text.encode("utf-8", "surrogatepass"))

    def read_text(self, name: str) -> str | None:
        """The text that `write_text` stored, or None where there is none.

        Raises:
            RunError: The file is damaged.
        """
        path = self._inside(name)
        try:
            return read_plain(path).decode("utf-8", "surrogatepass")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            raise RunError(
                f"{printable(str(path))} is damaged: it is not UTF-8 text.",
                "Remove the file and run the same command again.",
            ) from None

    def _write_extra(self, name: str, data: bytes) -> None:
        path = self._inside(name)
        first = inner_path(name).parts[0]
        if first in self.kept:
            raise RunError(
                f"'{first}' in a run folder is kept for the records.", "Choose another name."
            )
        self._make(*inner_path(name).parts[:-1])
        self._write(path, data)

    def _make(self, *parts: str) -> None:
        """Make a folder inside the run, one level after the other."""
        self._writable()
        folder = self.path
        for part in parts:
            folder = folder / part
            try:
                make_folder(folder)
            except OSError as error:
                raise cannot_write(folder, error) from error

    def _write(self, path: Path, data: bytes) -> None:
        self._writable()
        write_atomic(path, data)

    def _writable(self) -> None:
        if self._lock is None:
            raise RunError(
                f"The run folder {printable(str(self.path))} is open for reading only.",
                "Open it with RunFolder.open or RunFolder.reopen to write to it.",
            )

    def _inside(self, name: str) -> Path:
        """The path of a name inside the run, none of whose parts may be a link."""
        path = self.path
        for part in inner_path(name).parts:
            path = path / part
            refuse_link(path)
        return path


def pretty(value: object) -> bytes:
    """A JSON value as files hold it that people may read, too."""
    return f"{strictjson.dumps(value, indent=1)}\n".encode()
