# SPDX-License-Identifier: Apache-2.0
"""Maintenance windows: when they open, and what they do then."""
