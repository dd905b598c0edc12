# SPDX-License-Identifier: Apache-2.0
"""Room: tags of every resource type."""
