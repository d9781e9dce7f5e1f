"""What kind of file system a folder is on: some lose change events, and some cannot lock a SQLite file."""

from __future__ import annotations

import re
from pathlib import Path

NETWORK_FILE_SYSTEMS = frozenset(
    {
        *("afs", "ceph", "cifs", "gfs2", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb3", "smbfs"),
        *("9p", "virtiofs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"),
    }
)
"""File systems whose changes may be made on another machine: no events for those, no trustworthy locks."""

EVENTLESS_FILE_SYSTEMS = NETWORK_FILE_SYSTEMS | {"fuse.grpcfuse", "fuse.osxfs", "osxfs", "vboxsf", "vmhgfs"}
"""Those, and the mounts by which containers and virtual machines see a folder of their host."""

_MOUNTS = Path("/proc/self/mountinfo")


def file_system(path: Path, mounts: str | None = None) -> str | None:
    """Type of the file system that a path is, or would be, on; None where the platform does not tell.

    Args:
        path: absolute; need not exist.
        mounts: text in the format of ``/proc/self/mountinfo`` (proc(5)), for tests.
    """
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text()
        except OSError:
            return None
    best, kind = -1, None
    resolved = path.resolve()
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), left.split()[4]))
        # A later line of the same mount point lies over an earlier one.
        if resolved.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), right.split()[0]
    return kind
