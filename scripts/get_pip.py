# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stand-in for the pip bootstrap script that ansible-test downloads from its own site, which not every machine reaches.

Runs pip out of the wheel beside this file, which scripts/tiers/sanity fetched by the ordinary client. ansible-test asks for pip by
version; the wheel has that version, so the answer is the same as the site's.
"""

from __future__ import annotations

import sys
from pathlib import Path

wheel = str(next(Path(__file__).parent.glob("pip-*.whl")))
sys.path.insert(0, wheel)

from pip._internal.cli.main import main  # noqa: E402

not_for_pip = {"--no-setuptools", "--no-wheel"}
packages = [wheel if argument.startswith("pip==") else argument for argument in sys.argv[1:] if argument not in not_for_pip]
sys.exit(main(["install", "--upgrade", "--force-reinstall", *packages]))
