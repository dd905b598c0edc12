# SPDX-License-Identifier: Apache-2.0
"""Edge: the AWS API, one function per operation. AWS shapes stop here."""
