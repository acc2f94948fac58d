# SPDX-License-Identifier: GPL-3.0-or-later
"""GGnet Console: run rooms of diskless PCs from one window."""

__version__ = "0.1.0"
