# SPDX-License-Identifier: Apache-2.0
"""What all package managers of rpm systems have in common: the rpm database, and the metadata of repositories."""
