# SPDX-License-Identifier: Apache-2.0
"""Edge: Systems Manager operations, a file per group."""
