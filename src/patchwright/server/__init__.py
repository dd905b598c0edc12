# SPDX-License-Identifier: Apache-2.0
"""The control plane. Floors from top to bottom: app, edges, wire, rooms, accounts, infra, config."""
