#!/usr/bin/env python3
"""Packs a folder into ARCHIVE, a .tar.gz or .zip: sorted, without times, users and groups, so that it is the same every time.

Usage: archive.py FOLDER ARCHIVE
"""

import gzip
import sys
import tarfile
import zipfile
from pathlib import Path

# The earliest that a zip file can name.
LONG_AGO = (1980, 1, 1, 0, 0, 0)


def mode(path):
    """Everybody may read it, and run what somebody may run."""
    return 0o755 if path.stat().st_mode & 0o100 else 0o644


def pack_tar(files, folder, archive):
    with archive.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in files:
                entry = tarfile.TarInfo(path.relative_to(folder.parent).as_posix())
                entry.size, entry.mode = path.stat().st_size, mode(path)
                with path.open("rb") as content:
                    tar.addfile(entry, content)


def pack_zip(files, folder, archive):
    with zipfile.ZipFile(archive, "w") as packed:
        for path in files:
            entry = zipfile.ZipInfo(path.relative_to(folder.parent).as_posix(), LONG_AGO)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, (0o100000 | mode(path)) << 16
            packed.writestr(entry, path.read_bytes(), compresslevel=9)


def main(folder, archive):
    folder, archive = Path(folder).resolve(), Path(archive)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    (pack_zip if archive.suffix == ".zip" else pack_tar)(files, folder, archive)


if __name__ == "__main__":
    main(*sys.argv[1:])
