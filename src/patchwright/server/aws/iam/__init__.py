# SPDX-License-Identifier: Apache-2.0
"""Operations of IAM, as far as there are users, roles, groups, policies and keys here."""
