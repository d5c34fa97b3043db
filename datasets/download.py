"""Download a file with resume and checksum; where none is published, the first download decides it."""

import hashlib
import json
import os
import shutil
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from neurodyn.errors import InputError
from neurodyn.writing import write_text

SECONDS = 30.0
"""Without an answer for this long, there is no network."""
BLOCK = 2**20


def fetch(url: str, path: Path, *, sha256: str = "", known: Path | None = None) -> Path:
    """Download a file unless it is there; a part that is there already is not fetched again.

    Parameters
    ----------
    url
        Of the file (https).
    path
        Where to put it; what is not whole yet lies beside it, ending in ``.part``.
    sha256
        Published checksum; empty if there is none.
    known
        JSON file of checksums by file name, written at first download and compared with ever after (trust on first
        use); it is meant to be kept.

    Returns
    -------
    Path of the file, checked.

    Raises
    ------
    InputError
        If there is no network, the disk is full, or the checksum is another one (the file is then removed).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        part = path.with_name(path.name + ".part")
        try:
            _download(url, part)
        except (HTTPError, URLError, HTTPException, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            raise InputError(
                f"cannot download {url}: {reason}. Without a network, fetch it elsewhere and put it at '{path}'"
            ) from error
        except OSError as error:
            raise InputError(f"cannot write '{part}': {error.strerror or error}") from error
        os.replace(part, path)
    _check(path, sha256, known)
    return path


def _download(url: str, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urlopen(request, timeout=SECONDS)
    except HTTPError as error:
        if error.code == 416:  # nothing is left to fetch
            return
        raise
    with answer:
        whole = answer.status != 206  # a server that knows no parts sends everything again
        expected = answer.headers.get("Content-Length")
        before = 0 if whole else have
        with part.open("wb" if whole else "ab") as file:
            shutil.copyfileobj(answer, file, BLOCK)
    if expected is not None and part.stat().st_size != before + int(expected):
        raise ConnectionError("the connection broke off; run the command again to go on from there")


def _check(path: Path, sha256: str, known: Path | None) -> None:
    found = checksum(path)
    table = json.loads(known.read_text()) if known is not None and known.exists() else {}
    expected = sha256 or table.get(path.name, "")
    if expected and found != expected:
        path.unlink()
        raise InputError(f"'{path}' has the checksum {found}, expected {expected}: it was removed, download it again")
    if known is not None and path.name not in table:
        write_text(known, json.dumps({**table, path.name: found}, indent=1, sort_keys=True) + "\n")


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            total.update(block)
    return total.hexdigest()
