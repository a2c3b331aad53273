# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether anything on this Linux machine holds a block device, by the kernel's own word."""

from __future__ import annotations

import errno
import os

_GONE = frozenset({errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EIO})


def is_claimed(device: str) -> bool:
    """Tell whether anything holds a block device: a mount in whatever namespace, swap, md, device mapper, ZFS. Raises `OSError`.

    Linux lets nobody open a block device exclusively that such a holder has claimed, a partition's holder claims the disk too. One that is
    gone is held by nobody. It is opened for reading: udev takes the end of one for writing for a change.
    """
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL))
    except OSError as error:
        if error.errno in _GONE:
            return False
        if error.errno == errno.EBUSY:
            return True
        raise
    return False
