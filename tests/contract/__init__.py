# SPDX-License-Identifier: Apache-2.0
"""What every implementation of a seam must keep, whoever made it: one suite each, one subclass per implementation."""
