# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""LUNs as real SCSI disks (see README.md), in one of two ways that ``plane`` names.

By ``tgtd`` behind the portals of the SVMs: ``views`` says who sees what, ``tgt`` makes it so, ``portal`` lets every initiator find its own
view under the SVM's one IQN, ``tgt_plane`` is all of it.
By the kernel of a machine that plays the array (LIO): ``lio`` says what shall be, ``lio_agent`` makes it so there.
"""

PACKAGES = ("tgt", "util-linux")
"""What Debian calls the programs that tgt's way runs."""
