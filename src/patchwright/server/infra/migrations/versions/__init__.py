# SPDX-License-Identifier: Apache-2.0
"""The revisions, each named by its number and what it brings; its file name is its identifier."""
