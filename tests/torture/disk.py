"""What a disk may hold after power was lost, given the calls that came before.

The rules are those of ext4 and xfs, taken at their worst:

* Data is kept by sectors of 512 bytes. A sector that was written after the last completed sync of
  its file holds any of the contents that it had since then, whatever its neighbours hold. Where it
  held nothing before (never written, or preallocated), it may also hold zeros or stale data of
  another file. Where it held something, it is not destroyed by being written again (SQLite calls
  this the power-safe overwrite).
* A file has the size of its last sync, or any that it had since.
* Names (made, renamed, unlinked) that were not synced are there up to one of them, in each
  directory in the order in which they changed. A rename is atomic. Syncing a directory syncs the
  names in it; syncing a file syncs its own name, those that changed before it, and those of the
  directories above it, because a journal that holds the one holds the others. With ``is_strict``
  neither holds, which POSIX would allow: any of the names are there, and only a directory's sync
  counts.
* A store into a shared mapping counts as a write of that moment.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from pathlib import Path

from tests.torture import trace
from tests.torture.trace import Call

SECTOR = 512
ZEROS = bytes(SECTOR)
STALE_SECTORS = 256  # how many sectors of the past are kept to turn up in the wrong place

Tree = dict[str, "bytes | None"]  # path below the root -> content; None: a directory


class File:
    """Content as programs see it, and what of it the disk is sure to have."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = bytearray(content)
        self.synced = bytes(content)
        self.sizes = [len(content)]  # since the last sync
        self.versions: dict[int, list[bytes]] = {}  # of sectors, since the last sync
        # Sectors that are sure to have been written, though they may hold zeros.
        self.written = {len(content) // SECTOR} if len(content) % SECTOR else set()

    def _sector(self, number: int) -> bytes:
        return bytes(self.content[number * SECTOR : (number + 1) * SECTOR]).ljust(SECTOR, b"\0")

    def write(self, position: int, data: bytes) -> list[bytes]:
        """Write; return the whole sectors that are new."""
        end = position + len(data)
        if end > len(self.content):
            self.resize(end)
        self.content[position:end] = data
        written = []
        for number in range(position // SECTOR, (end + SECTOR - 1) // SECTOR):
            written.append(self._sector(number))
            self.versions.setdefault(number, []).append(written[-1])
        return written

    def resize(self, size: int) -> None:
        if size < len(self.content):
            first = size // SECTOR
            last = (len(self.content) + SECTOR - 1) // SECTOR
            del self.content[size:]
            for number in range(first, last):
                self.versions.setdefault(number, []).append(self._sector(number))
        else:
            self.content.extend(bytes(size - len(self.content)))
        self.sizes.append(size)

    def sync(self) -> None:
        self.synced = bytes(self.content)
        self.sizes = [len(self.content)]
        self.written |= self.versions.keys()
        self.written = {n for n in self.written if n * SECTOR < len(self.content)}
        self.versions = {}

    def draw(self, choose: random.Random, kept: float, stale: list[bytes]) -> bytes:
        """Return one content that the disk may hold; `kept` is the share of newest sectors."""
        if not self.versions and len(self.sizes) == 1:
            return self.synced
        size = self.sizes[-1] if choose.random() < kept else choose.choice(self.sizes)
        out = bytearray(self.synced[:size].ljust(size, b"\0"))
        for number, versions in self.versions.items():
            if choose.random() < kept:
                sector = versions[-1]
            else:
                before = self.synced[number * SECTOR : (number + 1) * SECTOR].ljust(SECTOR, b"\0")
                fates = [before, *versions]
                if before == ZEROS and number not in self.written:
                    fates += [ZEROS, choose.choice(stale) if stale else ZEROS]
                sector = choose.choice(fates)
            at = number * SECTOR
            out[at : min(at + SECTOR, size)] = sector[: max(0, size - at)]
        return bytes(out)


class Directory:
    """Names, those that the disk is sure to have, and what changed since."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.synced: dict[str, int] = {}
        self.changes: list[tuple[int, dict[str, int | None]]] = []  # inode; names, None: removed

    def change(self, inode: int, changes: dict[str, int | None]) -> None:
        _apply(self.names, changes)
        self.changes.append((inode, changes))

    def sync(self) -> None:
        self.synced = dict(self.names)
        self.changes = []

    def sync_names_of(self, inode: int) -> None:
        """Make the names of one file sure, and all that changed before them."""
        last = max((i for i, change in enumerate(self.changes) if change[0] == inode), default=-1)
        if last < 0:
            return
        for _, changes in self.changes[: last + 1]:
            _apply(self.synced, changes)
        del self.changes[: last + 1]

    def draw(self, choose: random.Random, kept: float, *, is_strict: bool) -> dict[str, int]:
        """Return names that the disk may hold."""
        names = dict(self.synced)
        if not is_strict:
            count = choose.randint(0, len(self.changes))
            for _, changes in self.changes[: len(self.changes) if kept == 1 else count]:
                _apply(names, changes)
        else:
            for _, changes in self.changes:
                if choose.random() < max(kept, 0.5):
                    _apply(names, changes)
        return names


def _apply(names: dict[str, int], changes: dict[str, int | None]) -> None:
    for name, inode in changes.items():
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode


class Disk:
    """Applies a trace, and draws what may be left of it at any moment.

    Parameters
    ----------
    root : Path
        Where the trace was recorded.
    tree : Tree
        What was there before, all of it synced.
    """

    def __init__(self, root: Path, tree: Tree | None = None, *, is_strict: bool = False) -> None:
        self._root = str(root)
        self._is_strict = is_strict
        self._files: dict[int, File] = {}
        self._directories: dict[int, Directory] = {0: Directory()}
        self._parents: dict[int, int] = {0: 0}
        self._numbers: dict[int, int] = {}  # inode of the trace -> ours: inodes are used again
        self._next = 1
        self._stale: list[bytes] = []
        self._written = 0
        for path, content in sorted((tree or {}).items()):
            parent = self._directory_of(path)
            number = self._add(File(content) if content is not None else Directory(), parent)
            self._directories[parent].change(number, {os.path.basename(path): number})
            self._directories[parent].sync()
            # The recorder sees these files too; it knows them by the inode that they have now.
            self._numbers[os.stat(root / path).st_ino] = number

    def apply(self, call: Call) -> None:
        kind = call.kind
        if kind in (trace.WRITE, trace.STORE):
            self._remember(self._file(call).write(call.position, call.data))
        elif kind == trace.ALLOCATE:
            end = call.position + int.from_bytes(call.data, "little")
            if end > len(self._file(call).content):
                self._file(call).resize(end)
        elif kind == trace.TRUNCATE:
            self._file(call).resize(call.position)
        elif kind == trace.SYNC:
            self._sync(self._numbers[call.inode])
        elif call.path == self._root:
            self._numbers[call.inode] = 0
        elif kind in (trace.CREATE, trace.MAKE_DIRECTORY):
            parent = self._directory_of(self._relative(call.path))
            made = File() if kind == trace.CREATE else Directory()
            self._numbers[call.inode] = number = self._add(made, parent)
            self._directories[parent].change(number, {os.path.basename(call.path): number})
        elif kind in (trace.UNLINK, trace.REMOVE_DIRECTORY):
            parent = self._directories[self._directory_of(self._relative(call.path))]
            name = os.path.basename(call.path)
            parent.change(parent.names[name], {name: None})
        elif kind == trace.RENAME:
            old, new = (self._relative(path) for path in call.paths)
            assert os.path.dirname(old) == os.path.dirname(new), "renamed into another directory"
            parent = self._directories[self._directory_of(old)]
            number = parent.names[os.path.basename(old)]
            parent.change(number, {os.path.basename(old): None, os.path.basename(new): number})

    def now(self) -> Tree:
        """Return what programs see: all that a dead process leaves."""
        return self._walk(lambda d: d.names, lambda f: bytes(f.content))

    def draw(self, choose: random.Random) -> Tree:
        """Return one state that the disk may be in when power is lost now."""
        kept = choose.choice((0.0, 1.0, choose.random(), choose.random()))
        return self._walk(
            lambda d: d.draw(choose, kept, is_strict=self._is_strict),
            lambda f: f.draw(choose, kept, self._stale),
        )

    def _walk(self, names_of, content_of) -> Tree:
        tree: Tree = {}
        # A name may be there twice when only half of a change is; each has the same content.
        contents: dict[int, bytes] = {}

        def visit(number: int, prefix: str) -> None:
            for name, inode in sorted(names_of(self._directories[number]).items()):
                if inode in self._directories:
                    tree[prefix + name] = None
                    visit(inode, f"{prefix}{name}/")
                else:
                    if inode not in contents:
                        contents[inode] = content_of(self._files[inode])
                    tree[prefix + name] = contents[inode]

        visit(0, "")
        return tree

    def _add(self, made: File | Directory, parent: int) -> int:
        number, self._next = self._next, self._next + 1
        if isinstance(made, File):
            self._files[number] = made
        else:
            self._directories[number] = made
        self._parents[number] = parent
        return number

    def _sync(self, number: int) -> None:
        if number in self._files:
            self._files[number].sync()
        else:
            self._directories[number].sync()
        while not self._is_strict and number != 0:
            self._directories[self._parents[number]].sync_names_of(number)
            number = self._parents[number]

    def _remember(self, sectors: Iterable[bytes]) -> None:
        for sector in sectors:
            if sector == ZEROS:
                continue
            if len(self._stale) < STALE_SECTORS:
                self._stale.append(sector)
            else:
                self._stale[self._written % STALE_SECTORS] = sector
            self._written += 1

    def _file(self, call: Call) -> File:
        return self._files[self._numbers[call.inode]]

    def _relative(self, path: str) -> str:
        assert path.startswith(self._root + "/"), path
        return path[len(self._root) + 1 :]

    def _directory_of(self, path: str) -> int:
        number = 0
        for name in Path(path).parent.parts:
            number = self._directories[number].names[name]
        return number


def write_tree(tree: Tree, root: Path) -> None:
    """Make the directories and files of a tree below an empty directory."""
    for path, content in tree.items():
        if content is None:
            os.mkdir(root / path)
            continue
        fd = os.open(root / path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            stripped = content.rstrip(b"\0")
            os.pwrite(fd, stripped, 0)
            os.ftruncate(fd, len(content))
        finally:
            os.close(fd)


def read_tree(root: Path) -> Tree:
    """Return the tree below a directory."""
    return {
        str(path.relative_to(root)): None if path.is_dir() else path.read_bytes()
        for path in sorted(root.rglob("*"))
    }
