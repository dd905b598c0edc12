# SPDX-License-Identifier: Apache-2.0
"""Operations of STS: who am I, and sessions."""
