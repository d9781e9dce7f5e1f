from __future__ import annotations

from pathlib import Path

import pytest

from triage import stack
from triage.mounts import EVENTLESS_FILE_SYSTEMS, NETWORK_FILE_SYSTEMS, file_system
from triage.settings import Settings
from triage.stack import PartMissing, check_home

MOUNTS = r"""
21 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw
40 21 0:38 / /mnt/x\040rays rw,relatime shared:20 - cifs //nas/x\040rays rw,vers=3.1.1
41 21 0:39 / /mnt/archive rw - nfs4 nas:/archive rw
42 41 0:40 / /mnt/archive/local rw master:1 - ext4 /dev/sdb1 rw
43 21 0:41 /host /inbox rw - virtiofs share rw
44 21 0:42 / /work rw - fuse.grpcfuse grpcfuse rw
45 21 0:43 / /twice rw - ext4 /dev/sdc1 rw
46 45 0:44 / /twice rw - nfs nas:/over rw
47 21 0:45 / /mnt/tab\011and\134slash rw - tmpfs tmpfs rw
""".strip()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/clinic", "ext4"),
        ("/mnt/x rays", "cifs"),
        ("/mnt/x rays/room 1/not yet there", "cifs"),
        ("/mnt/x rays beside", "ext4"),
        ("/mnt/archive", "nfs4"),
        ("/mnt/archive/local/home", "ext4"),
        ("/inbox", "virtiofs"),
        ("/twice/inbox", "nfs"),
        ("/mnt/tab\tand\\slash", "tmpfs"),
    ],
)
def test_the_innermost_newest_mount_says_what_a_folder_is_on(path: str, kind: str) -> None:
    assert file_system(Path(path), MOUNTS) == kind


def test_network_shares_report_no_events() -> None:
    assert {"cifs", "smb3", "nfs", "nfs4", "fuse.sshfs", "9p", "virtiofs"} <= NETWORK_FILE_SYSTEMS
    assert NETWORK_FILE_SYSTEMS | {"fuse.grpcfuse", "vboxsf"} <= EVENTLESS_FILE_SYSTEMS
    assert not {"ext4", "xfs", "btrfs", "overlay", "tmpfs"} & EVENTLESS_FILE_SYSTEMS


def test_this_machine_tells_what_its_root_is_on() -> None:
    assert file_system(Path("/")) is not None


def test_a_home_on_a_network_share_is_refused_for_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "file_system", lambda path: "nfs4")
    with pytest.raises(PartMissing, match=r"network file system \(nfs4\), where SQLite loses data"):
        check_home(Settings(home=Path("/mnt/home")))
    check_home(Settings(home=Path("/mnt/home"), database_url="postgresql+psycopg://db/triage"))
