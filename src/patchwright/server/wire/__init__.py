# SPDX-License-Identifier: Apache-2.0
"""The AWS wire: endpoint, protocol, signatures, errors, paging. The only package that knows botocore."""
