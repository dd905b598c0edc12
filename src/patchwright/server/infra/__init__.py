# SPDX-License-Identifier: Apache-2.0
"""Ground: database, migrations, leases, blobs, clock, identifiers."""
