# SPDX-License-Identifier: Apache-2.0
"""What `bin/demo` tells: this machine scanned, and a throw-away twin of it patched for real."""
