# SPDX-License-Identifier: Apache-2.0
"""Patchwright: a self-hosted patch manager for fleets, with the wire API of AWS Systems Manager."""

__version__ = "0.1.0"
