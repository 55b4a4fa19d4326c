"""Debian packages of another architecture, through an apt of their own.

The private apt keeps its lists and packages in one folder and needs no root. It trusts Debian's
archive keys alone, and nothing unsigned.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import LabError
from harness.lab.emulated.tools import run_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from harness.lab.emulated.recipe import ImageSpec

__all__ = ["Apt", "Deb", "MirrorError", "unpack"]

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

# Debian's mirrors have these side by side: that of a host of one of them has the others too. Each
# goes by a second name; what a release has under it is fetched, and kept by proxies, on its own.
RELEASES = {"bookworm": "oldstable", "trixie": "stable", "forky": "testing", "sid": "unstable"}

# How apt ends where a mirror's signed release file and its package lists are of different days.
_UNLIKE_RELEASE = re.compile("^ *Release file created at: ", re.MULTILINE)
_PAUSES_S = (5.0, 15.0)

# What a private apt takes over from the host's configuration: how to reach the network.
NETWORK_OPTIONS = re.compile(r"^Acquire::(https?|ftp|socks5h|Retries)\b", re.IGNORECASE)


class MirrorError(LabError):
    """The mirror's package lists are not those that its release file was signed for."""


@dataclass(frozen=True)
class Deb:
    """A package as the archive has it.

    Attributes
    ----------
    file
        ``name_version_architecture.deb``.
    size
        In bytes.
    digest
        As the signed package list states it, for example ``SHA256:…``.
    """

    file: str
    size: int
    digest: str


class Apt:
    """A private apt for the suites and architecture of an image.

    Parameters
    ----------
    folder
        Where it keeps everything; made if it does not exist.
    image
        Names suites, architecture and, where the host's is not right, the mirror.

    Raises
    ------
    LabError
        Debian's archive keys are not on this host, or its mirror cannot be told.
    """

    def __init__(self, folder: Path, image: ImageSpec) -> None:
        if not KEYRING.is_file():
            raise LabError(
                f"no archive keys to check Debian's packages with ({KEYRING})",
                hint="sudo apt-get install -y debian-archive-keyring",
            )
        for part in ("lists/partial", "cache/archives/partial", "sources.d", "conf.d"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        self._mirror = image.mirror or _host_mirror()
        self._suites = image.suites
        self._what = f"{', '.join(image.suites)} for {image.architecture}"
        self._sources = folder / "sources.list"
        options = {
            "APT::Architecture": image.architecture,
            "APT::Architectures": image.architecture,
            "APT::Sandbox::User": "root",  # the sandbox user may not write to a user's cache
            "APT::Update::Error-Mode": "any",
            "Acquire::Languages": "none",
            "Dir::Cache": folder / "cache",
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": folder / "conf.d",
            "Dir::Etc::sourcelist": self._sources,
            "Dir::Etc::sourceparts": folder / "sources.d",
            "Dir::State::lists": folder / "lists",
            "Dir::State::status": folder / "status",
        }
        network = [
            line
            for line in run_tool("apt-config", "dump").splitlines()
            if NETWORK_OPTIONS.match(line)
        ]
        self._configuration = folder / "apt.conf"
        self._configuration.write_text(
            "\n".join([*(f'{key} "{value}";' for key, value in options.items()), *network]) + "\n"
        )

    def update(
        self, progress: Callable[[str], None], *, pause: Callable[[float], object] = time.sleep
    ) -> None:
        """Fetch the package lists and check their signature.

        Parameters
        ----------
        pause
            Waits so many seconds before a mirror that is being updated is asked again.

        Raises
        ------
        MirrorError
            The mirror is being updated, has not been done soon, and has no whole release under
            its second name either.
        LabError
            They cannot be fetched, or are not signed with one of Debian's archive keys.
        """
        for seconds in (*_PAUSES_S, None):
            if self._fetch(self._suites):
                return
            if seconds is not None:
                progress(f"Debian's mirror is being updated: asking again in {seconds:g} s")
                pause(seconds)
        others = [RELEASES.get(suite, suite) for suite in self._suites]
        progress(f"asking for {', '.join(others)}, as Debian also calls {self._what}")
        if self._fetch(others) and self._codenames() == set(self._suites):
            return
        raise MirrorError(
            f"{self._mirror}: the package lists of {self._what} are not those that the release "
            "file was signed for: the mirror is being updated",
            hint="try again in an hour, or name another mirror as 'mirror:' under 'image:' in "
            "the board's recipe",
        )

    def _fetch(self, suites: list[str]) -> bool:
        """Fetch the lists of suites; tell whether they are those of their release files."""
        self._sources.write_text(
            "".join(f"deb [signed-by={KEYRING}] {self._mirror} {suite} main\n" for suite in suites)
        )
        try:
            self._run("apt-get", "update")
        except LabError as error:
            if not _UNLIKE_RELEASE.search(error.message):
                raise
            return False
        return True

    def _codenames(self) -> set[str]:
        """Return the names that the signed release files give their suites."""
        return set(self._run("apt-get", "indextargets", "--format", "$(CODENAME)"))

    def newest(self, package: str) -> str:
        """Return the package that a metapackage stands for: the first that it depends on."""
        for line in self._run("apt-cache", "depends", "--important", package):
            if found := re.match(r"\s+Depends: (\S+)$", line):
                return found[1]
        raise LabError(f"the package {package} depends on nothing: it is no metapackage")

    def find(self, packages: Iterable[str]) -> list[Deb]:
        """Return what the archive has of packages.

        Raises
        ------
        LabError
            It does not have one of them.
        """
        lines = self._run("apt-get", "download", "--print-uris", *packages)
        # 'URI' FILE SIZE DIGEST
        fields = [line.split() for line in lines if line.startswith("'")]
        return [Deb(file=f[1], size=int(f[2]), digest=f[3]) for f in fields]

    def download(self, packages: Iterable[str], folder: Path) -> None:
        """Fetch packages into a folder and check their digests."""
        self._run("apt-get", "download", *packages, cwd=folder)

    def _run(self, *argv: str, cwd: Path | None = None) -> list[str]:
        text = run_tool(*argv, cwd=cwd, environment={"APT_CONFIG": str(self._configuration)})
        return text.splitlines()


def unpack(deb: Path, folder: Path) -> None:
    """Unpack a package."""
    archive = folder.parent / "data.tar"
    with archive.open("wb") as stream:
        run_tool("dpkg-deb", "--fsys-tarfile", deb, stdout=stream)
    # The links of a merged /usr stay links where a package has folders of that name.
    run_tool("tar", "-xpf", archive, "--keep-directory-symlink", "-C", folder)
    archive.unlink()


def _host_mirror() -> str:
    """Return where this host's own packages of Debian come from."""
    # 'URI' FILE SIZE
    source = re.compile(rf"'(\S+)/dists/(?:{'|'.join(RELEASES)})/main/binary-")
    for line in run_tool("apt-get", "update", "--print-uris").splitlines():
        if found := source.match(line):
            return found[1]
    raise LabError(
        "this host's apt has no source of Debian: the board's packages have no mirror",
        hint="name one that you trust as 'mirror:' under 'image:' in the board's recipe",
    )
